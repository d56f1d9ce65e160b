"""The values that a stage works on: of its own run where that made some, else the latest.

Of a pipeline in partitions, the stages after `clean` work on the partitions' values as one.
"""

from collections.abc import Sequence

from factory_assets.results.base import StageResult
from factory_assets.results.data import CleanResult, IngestResult, summed
from factory_assets.results.stages import STAGES, VALUES, Stage
from factory_assets.spec import Partition, Pipeline, partition_of, time_dimension
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import union, union_or_none
from factory_resources.tracking.records import Record, Records

PARTITIONED: tuple[Stage, ...] = ("ingest", "clean")
"""The stages that run partition by partition, where a pipeline has partitions."""


def latest_result(
    pipeline: Pipeline,
    stage: Stage,
    home: Home,
    run_id: str | None = None,
    partition: Partition | None = None,
) -> StageResult:
    """The stage's value.

    Args:
        run_id: whose own value is preferred: another run may have made a newer one.
        partition: of which partition; without it, of a pipeline in partitions, all that the
            declaration has and `split.window` lets through, as one.

    Raises:
        DataError: where there is none yet.
    """
    return value_of(require_records(pipeline, stage, home, run_id, partition))


def require_records(
    pipeline: Pipeline,
    stage: Stage,
    home: Home,
    run_id: str | None = None,
    partition: Partition | None = None,
) -> list[Record]:
    """The records of which `latest_result` is the value; raises as it does."""
    found = records_of(pipeline, stage, home, run_id, partition)
    if not found:
        of = f" of partition {partition.key}" if partition else ""
        raise DataError(
            f"there is no result of {stage}{of} yet",
            where=pipeline.name,
            remedy=f"run it first: factory run {pipeline.name} --stages {stage}",
        )
    return found


def value_of(records: Sequence[Record]) -> StageResult:
    """What the records of one stage tell, of several partitions as one."""
    values = [VALUES[stage_of(record)].model_validate(record.value) for record in records]
    return values[0] if len(values) == 1 else together(values)


def stage_of(record: Record) -> Stage:
    """The stage that a record is of."""
    return next(stage for stage in STAGES if stage == record.stage)


def records_of(
    pipeline: Pipeline,
    stage: Stage,
    home: Home,
    run_id: str | None = None,
    partition: Partition | None = None,
) -> list[Record]:
    """The records of `latest_result`, one a partition in the order of their keys."""
    records = Records(home)
    dimensions = pipeline.spec.partitions
    if not dimensions or stage not in PARTITIONED or partition:
        key = partition.key if partition else None
        record = records.newest(pipeline.name, stage, key, run_id)
        return [record] if record else []
    known = records.partitions(pipeline.name, stage)
    chosen = _in_window(pipeline, [p for key in known if (p := partition_of(dimensions, key))])
    found = (records.newest(pipeline.name, stage, p.key, run_id) for p in chosen)
    return [record for record in found if record]


def together(values: Sequence[StageResult]) -> StageResult:
    """The values of several partitions as one."""
    ingested = [value for value in values if isinstance(value, IngestResult)]
    if ingested:
        return IngestResult(
            snapshot=union([value.snapshot for value in ingested]),
            quarantine=union_or_none([value.quarantine for value in ingested]),
            sources=tuple(source for value in ingested for source in value.sources),
            rows_read=sum(value.rows_read for value in ingested),
            quarantined=summed([value.quarantined for value in ingested]),
            ignored_columns=tuple(
                dict.fromkeys(name for value in ingested for name in value.ignored_columns)
            ),
        )
    cleaned = [value for value in values if isinstance(value, CleanResult)]
    return CleanResult(
        snapshot=union([value.snapshot for value in cleaned]),
        quarantine=union_or_none([value.quarantine for value in cleaned]),
        rows_in=sum(value.rows_in for value in cleaned),
        quarantined=summed([value.quarantined for value in cleaned]),
        duplicates=sum(value.duplicates for value in cleaned),
    )


def _in_window(pipeline: Pipeline, partitions: list[Partition]) -> list[Partition]:
    ordered = sorted(partitions, key=lambda partition: partition.key)
    time, window = time_dimension(pipeline.spec.partitions), pipeline.spec.split.window
    if time is None or window is None:
        return ordered
    newest = sorted({partition.keys[time] for partition in ordered})[-window:]
    return [partition for partition in ordered if partition.keys[time] in newest]
