"""Build the Dagster definitions of one declaration: six assets, their checks, a job, a schedule.

Assets of a pipeline in partitions belong in `partition_assets`.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from factory_assets.components.attributes import (
    asset,
    asset_attributes,
    pool_of,
    shown_purpose,
)
from factory_assets.components.metadata.checks import check_specs, checks_of_error
from factory_assets.components.metadata.stages import describe
from factory_assets.components.monitor_asset import monitor_defs
from factory_assets.components.partition_assets import partitioned_asset, partitions_asset
from factory_assets.components.partitions import automation_of, upstream_of
from factory_assets.components.run_context import (
    stage_request,
    step_failure,
    tag_run,
)
from factory_assets.components.scaffolder import PipelineScaffolder
from factory_assets.components.schedules import schedules_of
from factory_assets.components.sensors import sensors_of
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.progress import Progress
from factory_assets.execution.requests import stages_of
from factory_assets.execution.runner import run_stage
from factory_assets.results.latest import PARTITIONED
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline, PipelineSpec
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home


@dg.scaffold_with(PipelineScaffolder)
class ModelPipeline(dg.Component):
    """A model pipeline: ingest, clean, split, train, evaluate, deploy."""

    def __init__(self, spec: PipelineSpec) -> None:
        self.spec = spec

    @classmethod
    def get_model_cls(cls) -> type[PipelineSpec]:
        """Return a plain strict model; Dagster's resolvable one would accept wrong types."""
        return PipelineSpec

    @classmethod
    def load(cls, attributes: PipelineSpec, context: dg.ComponentLoadContext) -> "ModelPipeline":  # type: ignore[override]
        carbon = attributes.schedule.carbon if attributes.schedule else None
        if attributes.ingest.contract.file or (carbon and carbon.file):
            # Dagster passes the declaration without the files that it names.
            attributes = load_pipeline(context.path).spec
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        return build_pipeline(Pipeline(context.path.name, self.spec, context.path))


def build_pipeline(pipeline: Pipeline) -> dg.Definitions:
    """Build all definitions of one declaration.

    The job brings everything up to date. For a pipeline in partitions it does not contain `ingest`
    and `clean`, which Dagster runs for partitions that a person chooses. It contains `partitions`
    instead, which determines by itself which partitions to compute.
    """
    parts = pipeline.spec.partitions
    stages = [stage for stage in stages_of(pipeline) if not parts or stage not in PARTITIONED]
    in_job = [stage_asset(pipeline, stage) for stage in stages]
    in_job += [partitions_asset(pipeline)] if parts else []
    partitioned = [partitioned_asset(pipeline, stage) for stage in PARTITIONED] if parts else []
    job = dg.define_asset_job(
        pipeline.name,
        dg.AssetSelection.assets(*(asset.key for asset in in_job)),
        description=shown_purpose(pipeline),
        executor_def=dg.in_process_executor,
    )
    own = dg.Definitions(
        assets=[*in_job, *partitioned],
        jobs=[job],
        schedules=schedules_of(pipeline),
        sensors=sensors_of(pipeline),
    )
    return dg.Definitions.merge(own, monitor_defs(pipeline))


def stage_asset(pipeline: Pipeline, stage: Stage) -> dg.AssetsDefinition:
    """Return one stage as an asset, whose body runs the stage and describes its result."""
    name = pipeline.name

    def _stage(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
    ) -> Iterator[Any]:
        call = stage_request(pipeline, stage, context, home, progress)
        progress.started(name, stage)
        try:
            outcome = run_stage(call)
            metadata, checks = describe(call, outcome)
        except FactoryError as error:
            progress.failed(name, stage, error)
            yield from checks_of_error(call, error)
            raise step_failure(context, error) from error
        progress.finished(name, stage, outcome)
        tag_run(context, pipeline, stage, home, reused=outcome.reused)
        if outcome.warning:
            context.log.warning(outcome.warning)
            progress.warned(name, stage, outcome.warning)
        for check in checks:
            if check.severity is dg.AssetCheckSeverity.WARN and not check.passed:
                progress.warned(name, stage, check.description or "")
        yield dg.MaterializeResult(
            metadata=metadata,
            check_results=checks,
            data_version=dg.DataVersion(outcome.value.data_version),
        )

    return asset(
        _stage,
        key=[name, stage],
        deps=upstream_of(pipeline, stage),
        automation_condition=automation_of(pipeline, stage),
        check_specs=check_specs(pipeline, stage),
        pool=pool_of(pipeline, stage),
        **asset_attributes(pipeline, stage),
    )
