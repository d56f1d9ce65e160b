"""Find out, without Dagster, that a run would change nothing.

Importing Dagster takes longer than everything else that such a run does. Whether a single stage is
reused is decided in `runner`; what is noted for Dagster belongs in `unchanged_notes`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from factory_assets.data.contract.table_checks import require_table
from factory_assets.data.leakage.policy import leak_check, reasons_stored
from factory_assets.data.privacy.sensitive_columns import require_kept_out
from factory_assets.execution.requests import StageRequest, StageRun
from factory_assets.execution.runner import plan_stage
from factory_assets.results.data import IngestResult, SplitResult
from factory_assets.results.latest import PARTITIONED, ResultQuery, latest_result, value_of
from factory_assets.results.model import Candidate
from factory_assets.results.stages import Stage
from factory_assets.spec import Partition
from factory_resources.errors import FactoryError
from factory_resources.tables.delta_protocol import lacks_feature
from factory_resources.tables.snapshot import Snapshot
from factory_resources.tracking.records import Records


def unchanged_stages(
    call: StageRequest, stages: Sequence[Stage], partitions: Sequence[Partition]
) -> list[StageRun] | None:
    """Return the stored result of each stage, or None if a run would do more than reuse them.

    Args:
        call: the request to repeat; its own stage and partition are ignored.
        partitions: those of a pipeline in partitions, for the stages that run by partition.
    """
    runs = []
    try:
        require_kept_out(call.pipeline)
        with call.home.working():
            for stage in stages:
                by_partition = bool(call.pipeline.spec.partitions) and stage in PARTITIONED
                for partition in partitions if by_partition else [None]:
                    run = _stored(replace(call, stage=stage, partition=partition))
                    if run is None:
                        return None
                    runs.append(run)
            if any(lacks_feature(call.home.tables / table) for table in _tables(runs)):
                return None
    except FactoryError:
        # The run itself will meet the error, and report it where it belongs.
        return None
    return runs


def _tables(runs: Sequence[StageRun]) -> set[str]:
    parts = (part for run in runs for part in dict(run.value).values())
    return {part.table for part in parts if isinstance(part, Snapshot)}


def _stored(call: StageRequest) -> StageRun | None:
    with plan_stage(call) as plan:
        record = plan.record
    if record is None or not Records(call.home).is_latest(record):
        return None
    value = value_of([record])
    if isinstance(value, IngestResult):
        require_table(call.pipeline, value.snapshot.rows, value.findings)
    if isinstance(value, Candidate):
        from factory_resources.tracking.registry import Registry

        if not reasons_stored(call.pipeline, _split(call).leaks, value, Registry(call.home)):
            return None
    return StageRun(value, record, reused=True, changed=False)


def warnings_of(call: StageRequest, run: StageRun) -> Iterator[str]:
    """Yield what a person should look at in a stored result of `train`, as a run would."""
    if not isinstance(run.value, Candidate):
        return
    if call.pipeline.spec.training.budget and run.value.stopped:
        yield run.value.stopped.text
    check = leak_check(call.pipeline, _split(call).leaks)
    if check and not check.passed:
        yield f"{check.says}; {check.remedy}"


def _split(call: StageRequest) -> SplitResult:
    value = latest_result(ResultQuery(call.pipeline, "split", call.home))
    assert isinstance(value, SplitResult)
    return value
