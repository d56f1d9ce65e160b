"""Which columns a model may learn from, by the declaration alone; their values are looked at in
`features`."""

from collections.abc import Iterable

from factory_assets.spec import IDENTITY, Pipeline, Sequence, time_dimension


def inputs_of(pipeline: Pipeline, columns: Iterable[str]) -> list[str]:
    """Every column but the target, the excluded and those that only say which part a row is in."""
    spec = pipeline.spec
    given = spec.split.given.column if spec.split.given else None
    # When a row came says nothing about rows to come.
    time = time_dimension(spec.partitions)
    model = spec.training.model
    by = model.by if isinstance(model, Sequence) else None
    out = {*IDENTITY, spec.training.target, *spec.training.exclude, spec.split.group, given}
    return [name for name in columns if name not in out | {time, by}]
