"""Which columns of the sources made each feature of a model, or each column of a table."""

from collections.abc import Iterable, Sequence
from typing import Literal

from factory_assets.data.transforms.column_lineage import (
    Origins,
    clean_of,
    clean_origins,
    makers,
    source_origins,
)
from factory_assets.results.data import Ingested
from factory_assets.results.model import Candidate
from factory_assets.results.record_graph import History, value_in
from factory_assets.stages.trace_values import Column
from factory_resources.tracking.records import Record


def column_facts(
    record: Record, history: History, candidate: Candidate | None = None
) -> tuple[Column, ...]:
    """The columns of a stage's table; of a model its features and its target alone.

    Args:
        record: of ingest, clean or split: the table that the model learned from.
        candidate: the model.
    """
    ingest, clean = _before(record, history, "ingest"), _before(record, history, "clean")
    if ingest is None:
        return ()
    sources = _sources(ingest, history)
    spec = clean_of(clean.parts.get("declaration")) if clean else None
    cleaned: Origins = clean_origins(spec, tuple(sources)) if spec else {n: (n,) for n in sources}
    how = makers(spec) if spec else {}
    names: Sequence[str] = tuple(cleaned)
    if candidate:
        names = (*candidate.numeric, *candidate.categorical, candidate.target)
    return tuple(
        Column(
            name=name,
            role=_role(name, candidate),
            ingested=cleaned.get(name, ()),
            sources=_flat(sources.get(column, ()) for column in cleaned.get(name, ())),
            by=how.get(name),
        )
        for name in names
    )


def _sources(ingest: Record, history: History) -> Origins:
    """Of each ingested column the columns of the sources, through other pipelines to the first."""
    value = value_in(ingest)
    assert isinstance(value, Ingested)
    labels = {label for source in value.sources for label in source.labels}
    found = source_origins(ingest.parts["declaration"], tuple(value.snapshot.columns), labels)
    # Partitions are many, and made alike.
    read = {(r.pipeline, r.stage): r for r in history.inputs(ingest)}
    further = {
        f"{there.pipeline}/{there.stage}.{column.name}": column.sources
        for there in read.values()
        for column in column_facts(there, history)
    }
    return {name: _flat(further.get(o, (o,)) for o in origins) for name, origins in found.items()}


def _flat(origins: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in origins for name in names))


def _role(name: str, candidate: Candidate | None) -> Literal["feature", "target", "column"]:
    if candidate is None:
        return "column"
    return "target" if name == candidate.target else "feature"


def _before(record: Record, history: History, stage: str) -> Record | None:
    """The first record of a stage of the same pipeline that a record rests on, or is."""
    if record.stage == stage:
        return record
    for before in history.inputs(record):
        if before.pipeline == record.pipeline and (found := _before(before, history, stage)):
            return found
    return None
