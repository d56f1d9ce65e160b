"""Find out, without Dagster, that a run would change nothing.

Importing Dagster takes longer than everything else that such a run does. Whether a single stage is
reused is decided in `runner`; what is noted for Dagster belongs in `unchanged_notes`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from factory_assets.data.contract.table_checks import require_result
from factory_assets.data.leakage.policy import reasons_stored
from factory_assets.data.privacy.sensitive_columns import require_kept_out
from factory_assets.execution.plan import plan_stage
from factory_assets.execution.requests import StageRequest, StageRun
from factory_assets.execution.sharing import is_in_place
from factory_assets.execution.stage_checks import split_result, stage_checks
from factory_assets.execution.standing import standing
from factory_assets.execution.standing_text import standing_text
from factory_assets.results.data import IngestResult
from factory_assets.results.latest import PARTITIONED, value_of
from factory_assets.results.model import Candidate, Champion
from factory_assets.results.record_graph import tables_of
from factory_assets.results.stages import Stage
from factory_assets.spec import DatabaseSource, Partition, Pipeline, PythonSource
from factory_resources.delta_protocol import lacks_feature
from factory_resources.errors import FactoryError
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry


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
        if not is_in_place(call.pipeline, call.home):
            return None
        with call.home.working():
            for stage in stages:
                by_partition = bool(call.pipeline.spec.partitions) and stage in PARTITIONED
                for partition in partitions if by_partition else [None]:
                    run = _stored(replace(call, stage=stage, partition=partition))
                    if run is None:
                        return None
                    runs.append(run)
            tables = {part.table for run in runs for part in tables_of(run.value).values()}
            if any(lacks_feature(call.home.tables / table) for table in tables):
                return None
    except FactoryError:
        # The run itself will meet the error, and report it where it belongs.
        return None
    return runs


def must_be_read(pipeline: Pipeline) -> bool:
    """Whether a source has to be read to know whether it changed, which may take long.

    A run reads such a source anyway, so asking beforehand would do that work twice.
    """
    return any(
        isinstance(source, DatabaseSource)
        or (isinstance(source, PythonSource) and source.reads is None)
        for source in pipeline.spec.ingest.every_source
    )


def _stored(call: StageRequest) -> StageRun | None:
    with plan_stage(call) as plan:
        record = plan.record
    if record is None or not Records(call.home).is_latest(record):
        return None
    value = value_of([record])
    if isinstance(value, IngestResult):
        require_result(call.pipeline, value)
    registry = Registry(call.home)
    if isinstance(value, Candidate) and not reasons_stored(
        call.pipeline, split_result(call).leaks, value, registry
    ):
        return None
    if isinstance(value, Champion) and (
        registry.moved_alias(value.model) or standing(call.pipeline, record, call.home).may_begin
    ):
        # The run itself sets the alias back or lets the version serve, and says so.
        return None
    return StageRun(value, record, reused=True, changed=False)


def warnings_of(call: StageRequest, run: StageRun) -> Iterator[str]:
    """Yield what a person should look at in a stored result, as a run would."""
    value = run.value
    if isinstance(value, Candidate) and call.pipeline.spec.training.budget and value.stopped:
        yield value.stopped.text
    if isinstance(value, Candidate) and value.regions:
        yield from filter(None, ["; ".join(value.regions.problems())])
    declared = call.pipeline.spec.deploy
    if isinstance(value, Champion) and (declared.approval or declared.rollout):
        deployed = standing(call.pipeline, run.record, call.home)
        if deployed.status != "serves":
            yield standing_text(deployed, value.model, value.version, call.home)
    for check in stage_checks(call, value):
        if not check.passed and not check.blocking:
            yield f"{check.says}; {check.remedy}"
