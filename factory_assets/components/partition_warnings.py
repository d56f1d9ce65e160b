"""What a person should look at after partitions were computed: a line of text for each kind.

Dagster records checks only for the asset that has them, so `partitions` warns of those of the
stages. When that is, and whom it tells, belongs in `partition_assets`.
"""

from collections.abc import Iterable, Iterator, Sequence

from factory_assets.data.cleaned_blocks import no_row_text
from factory_assets.execution.backfill import PartitionRun
from factory_assets.execution.stage_checks import stage_checks
from factory_assets.results.data import CleanResult, IngestResult
from factory_assets.spec import Pipeline
from factory_assets.spec.partitions import time_dimension


def partition_warnings(pipeline: Pipeline, runs: Sequence[PartitionRun]) -> Iterator[str]:
    """Yield a line for each failed check of what was computed, and one for repeated files.

    Args:
        runs: those of one stage, in the order of their partitions.
    """
    found: dict[str, list[str]] = {}
    for run in runs:
        if run.outcome is None or run.outcome.reused:
            continue
        value = run.outcome.value
        said = [("", run.outcome.warning)] if run.outcome.warning else []
        if isinstance(value, CleanResult) and not value.snapshot.rows:
            said.append(("empty", no_row_text(value.quarantined)))
        said += [
            (check.name, f"{check.says}; {check.remedy}")
            for check in stage_checks(run.call, value)
            if not check.passed
        ]
        for name, text in said:
            found.setdefault(name, []).append(f"partition {run.partition.key}: {text}")
    if time := time_dimension(pipeline.spec.partitions):
        found["repeated"] = [*_repeated(time, runs)]
    for first, *others in filter(None, found.values()):
        yield first + (f" ({len(others)} more partitions have such a warning)" if others else "")


def _repeated(time: str, runs: Iterable[PartitionRun]) -> Iterator[str]:
    """Yield each file of rows that repeats that of another period, if one of them is new.

    Files of several places, such as sites, may be alike, as those of several labels may.
    """
    first: dict[tuple[str, frozenset[tuple[str, str]]], tuple[PartitionRun, str]] = {}
    for run in runs:
        if run.outcome is None or not isinstance(run.outcome.value, IngestResult):
            continue
        for source in run.outcome.value.sources:
            if source.join or not source.rows:
                continue
            place = {**run.partition.keys, **source.labels, time: ""}
            key = source.sha256, frozenset(place.items())
            earlier, name = first.setdefault(key, (run, source.name))
            known = run.outcome.reused and earlier.outcome and earlier.outcome.reused
            if earlier is not run and not known:
                yield (
                    f"partition {run.partition.key}: {source.name} has the content of {name} of "
                    f"partition {earlier.partition.key}, so that its rows count twice; replace one "
                    f"of them, or list its key under partitions.{time}.exclude"
                )
