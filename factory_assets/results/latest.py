"""The latest result of a stage: that of a given run if it computed one, otherwise the newest.

The results of several partitions are merged into one, which the stages after `clean` read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from factory_assets.results.base import StageResult, result_as
from factory_assets.results.data import CleanResult, IngestResult, add_counts
from factory_assets.results.stages import RESULT_TYPES, STAGES, Stage
from factory_assets.spec import Partition, Pipeline, partition_of, time_dimension
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import union, union_or_none
from factory_resources.tracking.record import Record, damaged_record
from factory_resources.tracking.records import Records

PARTITIONED: tuple[Stage, ...] = ("ingest", "clean")
"""The stages that run partition by partition if a pipeline has partitions."""


@dataclass(frozen=True)
class ResultQuery:
    """Which result of a stage is wanted."""

    pipeline: Pipeline
    stage: Stage
    home: Home
    run_id: str | None = None
    """The run whose own result is preferred, even if another run stored a newer one."""
    partition: Partition | None = None
    """The partition of the result. Without it, the results of all declared partitions within
    `split.window` are merged, if the stage runs partition by partition."""


def latest_result(query: ResultQuery) -> StageResult:
    """Return the latest result of a stage.

    Raises:
        DataError: there is no result yet.
    """
    return value_of(require_records(query))


def require_records(query: ResultQuery) -> list[Record]:
    """Return the records behind `latest_result`.

    Raises:
        DataError: there are none yet.
    """
    records = records_of(query)
    if not records:
        name, stage, partition = query.pipeline.name, query.stage, query.partition
        of = f" of partition {partition.key}" if partition else ""
        raise DataError(
            f"there is no result of {stage}{of} yet",
            where=name,
            remedy=f"run it first: factory run {name}",
        )
    return records


def value_of(records: Sequence[Record]) -> StageResult:
    """Return the result in the records of one stage; those of several partitions are merged.

    Raises:
        StorageError: a record was changed and contains no such result.
    """
    values = [result_as(RESULT_TYPES[stage_of(record)], record) for record in records]
    return values[0] if len(values) == 1 else merge_partitions(values)


def stage_of(record: Record) -> Stage:
    """Return the stage of a record.

    Raises:
        StorageError: there is no such stage.
    """
    for stage in STAGES:
        if stage == record.stage:
            return stage
    raise damaged_record(record.name)


def records_of(query: ResultQuery) -> list[Record]:
    """Return the records behind `latest_result`, one per partition in the order of their keys.

    The list is empty if there are none.
    """
    records, name, stage = Records(query.home), query.pipeline.name, query.stage
    dimensions = query.pipeline.spec.partitions
    if not dimensions or stage not in PARTITIONED or query.partition:
        key = query.partition.key if query.partition else None
        record = records.newest(name, stage, key, query.run_id)
        return [record] if record else []
    known = records.partitions(name, stage)
    chosen = _in_window(
        query.pipeline, [p for key in known if (p := partition_of(dimensions, key))]
    )
    newest = (records.newest(name, stage, p.key, query.run_id) for p in chosen)
    return [record for record in newest if record]


def merge_partitions(values: Sequence[StageResult]) -> StageResult:
    """Merge the results of several partitions."""
    ingested = [value for value in values if isinstance(value, IngestResult)]
    if ingested:
        return IngestResult(
            snapshot=union([value.snapshot for value in ingested]),
            quarantine=union_or_none([value.quarantine for value in ingested]),
            sources=tuple(source for value in ingested for source in value.sources),
            rows_read=sum(value.rows_read for value in ingested),
            quarantined=add_counts([value.quarantined for value in ingested]),
            ignored_columns=tuple(
                dict.fromkeys(name for value in ingested for name in value.ignored_columns)
            ),
        )
    cleaned = [value for value in values if isinstance(value, CleanResult)]
    return CleanResult(
        snapshot=union([value.snapshot for value in cleaned]),
        quarantine=union_or_none([value.quarantine for value in cleaned]),
        rows_in=sum(value.rows_in for value in cleaned),
        quarantined=add_counts([value.quarantined for value in cleaned]),
        duplicates=sum(value.duplicates for value in cleaned),
    )


def _in_window(pipeline: Pipeline, partitions: list[Partition]) -> list[Partition]:
    ordered = sorted(partitions, key=lambda partition: partition.key)
    time, window = time_dimension(pipeline.spec.partitions), pipeline.spec.split.window
    if time is None or window is None:
        return ordered
    newest = sorted({partition.keys[time] for partition in ordered})[-window:]
    return [partition for partition in ordered if partition.keys[time] in newest]
