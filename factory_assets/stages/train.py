"""Train: fit preprocessing and model on the training rows, register both in MLflow as a candidate.

Validation rows decide when to stop and the threshold; then the kept model learns from them too, see
`train.refit`. Test rows are never read here. How a model is fitted belongs in `ml.training`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from factory_assets.data.contract.ingested_types import with_ingested_types
from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.ml.artifacts.trained_model import MODEL_TAG, TrainedModel, save_trained
from factory_assets.ml.artifacts.typical_row import text_columns, typical_row
from factory_assets.ml.features.features import Features
from factory_assets.ml.features.texts import unread_sentences
from factory_assets.ml.models.kinds import kind_of
from factory_assets.ml.training.fit_result import FitResult, load_fit, training_metrics
from factory_assets.ml.training.fit_tasks import FitExecutor, FitRows
from factory_assets.ml.training.fitting import Fitter, no_progress, try_out
from factory_assets.ml.training.members import MemberExecutor
from factory_assets.ml.training.portfolio_tasks import PortfolioExecutor
from factory_assets.ml.training.preparation import read_training_data
from factory_assets.ml.training.threshold import require_kept
from factory_assets.results.data import SplitResult
from factory_assets.results.model import Candidate, Tuned
from factory_assets.spec import Pipeline
from factory_assets.spec.threshold import rule_text
from factory_resources.home.home import Home
from factory_resources.progress import Progress

if TYPE_CHECKING:
    from factory_resources.tracking.run import RegistryRun, Signature

STOPPED_TAG = "factory.stopped"
"""The tag of a model version whose training was stopped by its budget; says how."""
HALVED = "half as large as declared, because memory was short"
_EXACT = 2**53
"""The largest number up to which a float holds every whole number."""
_NO_TAGS: Mapping[str, str] = MappingProxyType({})


def train(
    pipeline: Pipeline,
    parts: SplitResult,
    home: Home,
    *,
    tags: Mapping[str, str] = _NO_TAGS,
    progress: Progress | None = None,
    checkpoints: Path | None = None,
    executor: FitExecutor | None = None,
) -> Candidate:
    """Create the candidate: a run and a new model version in MLflow.

    Args:
        checkpoints: the folder for checkpoints; a killed training resumes from those in it.
        executor: does what is independent: trials of a search, or members of an ensemble; and what
            several machines train together. None if this process works alone.

    Raises:
        DataError: the rows cannot be learned from, or no threshold keeps what is promised.
        ModelError: the loss is not a number, or a user's own module fails or cannot be exported.
        DeclarationError: a user's own module cannot be found.
    """
    from factory_resources.tracking.registry import Registry
    from factory_resources.tracking.run import open_run

    started = time.time_ns() // 1_000_000
    spec, tell = pipeline.spec.training, progress or no_progress
    tables, ready = read_training_data(pipeline, parts.train, parts.validation, home, spec.model)
    rows = FitRows(train=parts.train, validation=parts.validation)
    try_out(pipeline, ready, home)
    categories = (category.name for category in ready.features.categorical)
    for problem in unread_sentences(pipeline, tables[0], categories):
        tell(problem)
    fitted, tuned = None, None
    if not spec.tune:
        # Before a run exists: data that cannot be learned from leaves no run behind.
        if executor and spec.trainer.nodes > 1:
            fitted = _fit_elsewhere(pipeline, rows, executor, tell, checkpoints)
        else:
            fitted = Fitter(
                pipeline,
                ready,
                home,
                spec.model,
                tell,
                checkpoints,
                members=MemberExecutor(executor, rows) if executor else None,
                fit_apart=PortfolioExecutor(executor, rows) if executor else None,
            ).fit()
        require_kept(pipeline.spec.decision_rule, fitted.validation, len(fitted.scored))
    with (
        home.scratch() as files,
        open_run(Registry(home), pipeline.name, kind_of(spec.model), tags, started=started) as run,
    ):
        if fitted is None:
            from factory_assets.ml.training.search import search
            from factory_assets.ml.training.trials import Trials

            trials = Trials(pipeline, rows, tables, ready, home)
            fitted, tuned = search(trials, run, tell, checkpoints, executor)
            require_kept(pipeline.spec.decision_rule, fitted.validation, len(fitted.scored))
        if regions := fitted.trained.description.regions:
            for problem in regions.problems():
                tell(problem)
        digest = save_trained(as_ingested(fitted.trained, parts.train.columns), files)
        _log(run, pipeline, parts, fitted, tuned)
        _log_members(run, fitted)
        version = run.register(
            files,
            signature_of(fitted.trained),
            typical_row(fitted.trained.features, sensitive_columns(pipeline)),
            {**tags, MODEL_TAG: digest, **_stopped(fitted)},
        )
    count = len(ready.rows)
    if fitted.refit and not fitted.refit.reason:
        count += len(ready.validation)
    return _candidate(pipeline, fitted, version, run.run_id, digest, count, tuned)


def _fit_elsewhere(
    pipeline: Pipeline,
    rows: FitRows,
    executor: FitExecutor,
    progress: Progress,
    checkpoints: Path | None,
) -> FitResult:
    from factory_assets.ml.training.training_task import TrainingTask

    for done in executor.map([TrainingTask(rows=rows, checkpoints=checkpoints)], progress):
        return load_fit(done.files, pipeline.folder)
    raise AssertionError


def as_ingested(trained: TrainedModel, kinds: Mapping[str, str]) -> TrainedModel:
    """Return the model with the types of the columns that rows to score are cleaned by.

    Args:
        kinds: column to DuckDB type, of the training rows.
    """
    description, series = trained.description, trained.features.series
    keys = (series.by, series.order) if series else ()
    inputs = (*trained.features.columns, *keys)
    ingest = with_ingested_types(
        description.ingest,
        description.clean,
        inputs,
        kinds,
        names=(*text_columns(trained.features), *_large(trained.features, kinds)),
    )
    return replace(trained, description=description.model_copy(update={"ingest": ingest}))


def _large(features: Features, kinds: Mapping[str, str]) -> Iterator[str]:
    """Yield the whole numbers beyond what a float holds exactly, such as times in nanoseconds.

    As a float of a contract, a row with one would be refused.
    """
    for number in features.numeric:
        if kinds.get(number.name) == "BIGINT" and abs(number.mean) + number.sd > _EXACT:
            yield number.name


def signature_of(trained: TrainedModel) -> Signature:
    """Return the inputs and the output of the deployed model."""
    from factory_resources.tracking.run import Signature

    kinds = dict.fromkeys((n.name for n in trained.features.numeric), "float")
    kinds |= dict.fromkeys(trained.features.time_columns, "double")
    names = dict.fromkeys(text_columns(trained.features), "string")
    if trained.target.task == "regression":
        return Signature({**kinds, **names}, "prediction", None)
    return Signature({**kinds, **names}, "probabilities", trained.target.outputs)


def _candidate(
    pipeline: Pipeline,
    fitted: FitResult,
    version: int,
    run_id: str,
    digest: str,
    rows: int,
    tuned: Tuned | None = None,
) -> Candidate:
    trained = fitted.trained
    return Candidate(
        model=pipeline.name,
        version=version,
        run_id=run_id,
        kind=kind_of(trained.description.spec),
        task=trained.target.task,
        target=trained.target.column,
        classes=trained.target.classes,
        numeric=tuple(n.name for n in trained.features.numeric),
        categorical=text_columns(trained.features),
        times=trained.features.time_columns,
        digest=digest,
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        threshold=trained.description.threshold,
        validation=fitted.validation,
        rows=rows,
        parameters=trained.model.parameters,
        tuned=tuned,
        stopped=fitted.stopped,
        halved=fitted.halved,
        portfolio=fitted.portfolio,
        regions=trained.description.regions,
        refit=fitted.refit,
    )


def _log(
    run: RegistryRun, pipeline: Pipeline, parts: SplitResult, fitted: FitResult, tuned: Tuned | None
) -> None:
    apart = {"model", "tune", "leaks", "threshold", "uncertainty"}
    declared = pipeline.spec.training.model_dump(mode="json", exclude=apart)
    trained = fitted.trained.description.spec.model_dump(mode="json")
    declared |= {f"model.{key}": value for key, value in trained.items()}
    if tuned:
        run.log_parameters({f"tune.{key}": value for key, value in tuned.figures().items()})
        run.log_metrics(list(enumerate({"tune_best": best} for best in tuned.best_so_far())))
    if fitted.trained.description.threshold is not None:
        declared["threshold"] = rule_text(pipeline.spec.decision_rule)
    if regions := fitted.trained.description.regions:
        declared["uncertainty"] = regions.text()
    features, calibration = fitted.trained.features, fitted.trained.description.calibration
    run.log_parameters(
        {
            **declared,
            **({"batches": HALVED} if fitted.halved else {}),
            **({"refit": fitted.refit.text} if fitted.refit else {}),
            "task": fitted.trained.target.task,
            "inputs": len(features.columns),
            "constant": ", ".join(features.constant),
            "ignored": ", ".join(features.ignored),
            "text": {text.name: text.encoder for text in features.texts},
            "calibration": calibration.model_dump_json() if calibration else "none",
        }
    )
    for context, part in (("training", parts.train), ("validation", parts.validation)):
        run.log_dataset(part.table, part.data_version, f"{part.table}@{part.data_version}", context)
    run.log_metrics(training_metrics(fitted))


def _log_members(run: RegistryRun, fitted: FitResult) -> None:
    """Show each member of a portfolio as a run of its own below the candidate's."""
    from factory_resources.tracking.run import open_child

    portfolio = fitted.portfolio
    if portfolio is None:
        return
    settings = fitted.trained.description.spec.model_dump(mode="json")["members"]
    for number, (member, cost) in enumerate(zip(portfolio.members, fitted.costs, strict=True), 1):
        with open_child(run, f"member {number} {member.name}") as child:
            child.log_parameters(settings[number - 1])
            figures = {portfolio.metric: member.value, f"{portfolio.metric}_sd": member.sd}
            known = {name: value for name, value in figures.items() if value is not None}
            metrics = {**known, "weight": member.weight, "seconds": cost.seconds, "wh": cost.wh}
            child.log_metrics([(0, metrics)])
            child.end("FINISHED")


def _stopped(fitted: FitResult) -> dict[str, str]:
    return {STOPPED_TAG: fitted.stopped.text} if fitted.stopped else {}
