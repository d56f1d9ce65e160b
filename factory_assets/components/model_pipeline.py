"""One declaration in, one lineage graph out: six assets, their checks, a job and a schedule."""

import warnings
from typing import Any

import dagster as dg

from factory_assets.components.metadata import check_specs, describe
from factory_assets.components.progress import Progress
from factory_assets.components.scaffold import PipelineScaffolder
from factory_assets.components.upstream import upstream_keys
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.stages.keys import code_version
from factory_assets.stages.runner import Call, run_stage, stages_of
from factory_assets.stages.values import UPSTREAM, Stage
from factory_resources.errors import FactoryError
from factory_resources.home import Home
from schedules.flow import on_new_data
from schedules.nightly import schedule_for

REUSE_TAG = "factory/reuse"
"""A run with this tag set to `false` computes every stage anew."""

_KINDS: dict[Stage, set[str]] = {
    "ingest": {"duckdb", "deltalake"},
    "clean": {"duckdb", "deltalake"},
    "split": {"duckdb", "deltalake"},
    "train": {"mlflow"},
    "evaluate": {"scikitlearn", "mlflow"},
    "deploy": {"onnx", "mlflow"},
}
_DESCRIPTIONS: dict[Stage, str] = {
    "ingest": "The source as it came, held to its contract; rows that break it are in quarantine.",
    "clean": "Trusted rows: rules applied, duplicates dropped, columns derived.",
    "split": "The clean rows, each in exactly one of train, validation and test.",
    "train": "A candidate: the model version just trained, in MLflow.",
    "evaluate": "What the untouched test rows say of the candidate, and whether its gates pass.",
    "deploy": "The champion: exported to ONNX, proven equal to the trained model, and serving.",
}


@dg.scaffold_with(PipelineScaffolder)
class ModelPipeline(dg.Component):
    """A model pipeline: ingest, clean, split, train, evaluate, deploy."""

    def __init__(self, spec: PipelineSpec) -> None:
        self.spec = spec

    @classmethod
    def get_model_cls(cls) -> type[PipelineSpec]:
        """A plain strict model rather than Dagster's resolvable one.

        Which lets wrong types through.
        """
        return PipelineSpec

    @classmethod
    def load(cls, attributes: PipelineSpec, context: dg.ComponentLoadContext) -> "ModelPipeline":  # type: ignore[override]
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        return build_pipeline(Pipeline(context.path.name, self.spec, context.path))


def build_pipeline(pipeline: Pipeline) -> dg.Definitions:
    """Everything that one declaration makes."""
    job = dg.define_asset_job(
        pipeline.name,
        dg.AssetSelection.groups(pipeline.name),
        description=pipeline.spec.purpose,
        executor_def=dg.in_process_executor,
    )
    schedule = pipeline.spec.schedule
    return dg.Definitions(
        assets=[stage_asset(pipeline, stage) for stage in stages_of(pipeline)],
        jobs=[job],
        schedules=[schedule_for(pipeline.name, **dict(schedule))] if schedule else [],
    )


def stage_asset(pipeline: Pipeline, stage: Stage) -> dg.AssetsDefinition:
    """One stage as an asset; its body hands over to the stage and describes what comes back."""
    name, spec = pipeline.name, pipeline.spec
    read = upstream_keys(pipeline)

    @dg.asset(
        key=[name, stage],
        deps=[[name, upstream] for upstream in UPSTREAM[stage]] or read,
        automation_condition=on_new_data() if read else None,
        group_name=name,
        description=f"{_DESCRIPTIONS[stage]}\n\n{spec.purpose}",
        kinds=_KINDS[stage] | _model_kinds(pipeline, stage),
        owners=list(spec.owners),
        tags={"risk": spec.risk.tier},
        code_version=code_version(pipeline, stage),
        check_specs=check_specs(pipeline, stage),
        metadata=_code_reference(pipeline),
    )
    def _stage(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg] # Dagster knows only the bare class
        call = Call(
            pipeline=pipeline,
            stage=stage,
            home=home,
            run_id=context.run.run_id,
            reuse=context.run.tags.get(REUSE_TAG, "true") != "false",
            tags={"dagster.run_id": context.run.run_id, "dagster.job": context.run.job_name},
            progress=progress.step,
        )
        progress.started(name, stage)
        try:
            outcome = run_stage(call)
            metadata, checks = describe(call, outcome)
        except FactoryError as error:
            progress.failed(name, stage, error)
            raise dg.Failure(str(error), allow_retries=False) from error
        progress.finished(name, stage, outcome)
        return dg.MaterializeResult(
            metadata=metadata,
            check_results=checks,
            data_version=dg.DataVersion(outcome.value.data_version),
        )

    return _stage


def _model_kinds(pipeline: Pipeline, stage: Stage) -> set[str]:
    if stage != "train":
        return set()
    kind = getattr(pipeline.spec.training.model, "kind", "python")
    return {"lightning", "pytorch"} if kind in {"mlp", "python"} else {"scikitlearn"}


def _code_reference(pipeline: Pipeline) -> dict[str, Any]:
    file = str(pipeline.folder / "defs.yaml")
    with warnings.catch_warnings():
        # Beta in Dagster 1.13, which would be said on every start of every process.
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        reference = dg.LocalFileCodeReference(file_path=file, line_number=1)
        value = dg.CodeReferencesMetadataValue(code_references=[reference])
    return {"dagster/code_references": value}
