"""Evaluate: score a candidate on the test rows, which no earlier stage reads, and decide its gates.

Each measurement belongs in `ml.evaluation`, `ml.metrics` or `ml.attribution`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from factory_assets.data.labelled_answers import (
    ChosenAnswers,
    ComparableModel,
    labelled_table,
)
from factory_assets.ml.artifacts.trained_model import TrainedModel, load_trained
from factory_assets.ml.attribution.measurement import measure_influence
from factory_assets.ml.evaluation.answered import columns_needed, compare_on_answers
from factory_assets.ml.evaluation.baselines import linear_baseline, of_classes, trivial_outputs
from factory_assets.ml.evaluation.champion import compare_champion
from factory_assets.ml.evaluation.comparable_rows import comparable_rows
from factory_assets.ml.evaluation.cross_validation import cross_validate, fold_figures
from factory_assets.ml.evaluation.gates import AnswerMetrics, ChampionMetrics, judge, judge_default
from factory_assets.ml.evaluation.permutation_importance import importances
from factory_assets.ml.evaluation.robustness import robustness
from factory_assets.ml.evaluation.test_set import (
    TestSet,
    open_test_set,
    slice_rows,
    store_predictions,
)
from factory_assets.ml.metrics.bootstrap import bootstrap_intervals
from factory_assets.ml.metrics.fairness import group_rates
from factory_assets.ml.metrics.metrics import DECISION_METRICS, ScoredRows
from factory_assets.ml.metrics.paired import paired_differences
from factory_assets.ml.plots.evaluation import (
    evaluation_plots,
    plot_importances,
    plot_robustness,
    plot_slices,
)
from factory_assets.ml.training.fit_tasks import FitExecutor
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import (
    AnswersCompared,
    EvaluationResult,
    GateResult,
    Group,
    Slice,
)
from factory_assets.results.model import Candidate
from factory_assets.spec import Pipeline
from factory_assets.spec.evaluate import FAIRNESS
from factory_resources.errors import ContractError, DataError, ExpressionError, SourceError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot, read_arrow
from factory_resources.tracking.run import RegistryRun, metric_name


def evaluate(
    pipeline: Pipeline,
    parts: SplitResult,
    candidate: Candidate,
    home: Home,
    *,
    champion: int | None,
    learned: Sequence[Snapshot] = (),
    answers: ChosenAnswers | None = None,
    progress: Callable[[str], None] | None = None,
    executor: FitExecutor | None = None,
) -> EvaluationResult:
    """Score the candidate, the baselines and the champion on the same test rows; decide the gates.

    The result is also logged to the candidate's MLflow run: metrics, gates and plots.

    Args:
        champion: the version to compare with; None if there is none.
        learned: the rows of the champion without its test rows; empty if they are not known.
        answers: on which it is compared too; None if no outcome is known.
        executor: trains the models of folds and influence; None if this process works alone.

    Raises:
        DataError: a test row has a class that no training row has, a column to slice or order by is
            missing, a deciding metric is undefined on these rows, or there are too few rows for the
            folds.
        DeclarationError: a metric does not fit the task.
        ModelError: the candidate's files were changed since training.
    """
    trained = load_trained(candidate, home, pipeline.folder)
    test_set = open_test_set(pipeline, parts, trained, candidate, home)
    scored = test_set.score_model(trained)
    metrics = scored.metrics()
    test_set.require_defined(metrics)
    guess, trivial = _trivial(test_set, parts, trained, home)
    linear = _linear(test_set, parts, trained, home)
    baselines = {"trivial": trivial, "linear": linear.metrics() if linear else trivial}
    rows = comparable_rows(pipeline, test_set.places, parts, learned, home)
    rival = compare_champion(test_set, scored, champion, home, rows)
    compared = rival.compared if isinstance(rival, ChampionMetrics) else None
    answered = None
    if answers and isinstance(rival, ChampionMetrics) and champion:
        answered, on_answers = _on_answers(test_set, answers, trained, champion, home)
        rival = replace(rival, answers=on_answers)
    slices = _slices(test_set, scored)
    folds = cross_validate(test_set, parts, trained, home, progress, executor)
    declared = pipeline.spec.evaluate
    gates = (
        *judge(declared.conditions, metrics, baselines, rival, folds),
        *judge_default(declared, test_set.primary_metric, metrics, rival),
    )
    mattering, disturbed = importances(test_set, trained), robustness(test_set, trained)
    drawn = evaluation_plots(scored, candidate.classes, candidate.target)
    if mattering:
        drawn["importances"] = plot_importances(mattering)
    if disturbed:
        plain = metrics[test_set.primary_metric]
        drawn["robustness"] = plot_robustness(disturbed, test_set.primary_metric, plain)
    if any(test_set.primary_metric in one.metrics for one in slices):
        drawn["slices"] = plot_slices(slices, test_set.primary_metric, metrics)
    verdict = EvaluationResult(
        candidate=candidate,
        headline=test_set.primary_metric,
        metrics=metrics,
        intervals=bootstrap_intervals(
            scored,
            {*test_set.asked, *(FAIRNESS & set(metrics))},
            resamples=declared.bootstrap,
            seed=pipeline.spec.training.seed,
        ),
        baselines=baselines,
        over_trivial=paired_differences(
            scored,
            guess,
            [test_set.primary_metric],
            resamples=declared.bootstrap,
            seed=pipeline.spec.training.seed,
        ).get(test_set.primary_metric),
        champion=(
            {**rival.metrics} if isinstance(rival, ChampionMetrics) and not compared else None
        ),
        champion_version=champion,
        gates=gates,
        slices=slices,
        predictions=store_predictions(
            test_set.rows, candidate, scored.outputs, home, f"{pipeline.name}/predictions"
        ),
        pictures=_store_plots(drawn, candidate, home),
        groups=_groups(test_set, scored),
        importances=mattering,
        robustness=disturbed,
        influence=measure_influence(test_set, parts, trained, home, progress, executor),
        folds=folds,
        at_half=_at_half(scored),
        answers=answered,
        compared=compared,
    )
    _log(verdict, drawn, home)
    return verdict


def _on_answers(
    test_set: TestSet, chosen: ChosenAnswers, trained: TrainedModel, champion: int, home: Home
) -> tuple[AnswersCompared, AnswerMetrics | None]:
    """Compare both on the chosen answers; without a verdict, the result says why."""
    result = AnswersCompared(chosen=len(chosen.rows), digest=chosen.digest, ends=chosen.ends)
    fewest = test_set.pipeline.spec.evaluate.answers.at_least
    try:
        if len(chosen.rows) < fewest:
            raise DataError(
                f"there are fewer than {fewest:,}",
                remedy="lower evaluate.answers.at_least, or wait for more outcomes",
            )
        description = trained.description
        columns, inputs = columns_needed(trained)
        model = ComparableModel(
            columns,
            inputs,
            trained.features.booleans,
            description.ingest,
            description.clean,
        )
        rows = labelled_table(chosen, model, trained.target.column, home)
        found = compare_on_answers(test_set, rows, trained, champion, home)
    except (ContractError, DataError, ExpressionError, SourceError) as error:
        return result.model_copy(update={"reason": str(error)}), None
    compared = {
        "rows": found.rows,
        "metrics": {**found.candidate},
        "champion": {**found.champion.metrics},
    }
    return result.model_copy(update=compared), found


def _trivial(
    test_set: TestSet, parts: SplitResult, trained: TrainedModel, home: Home
) -> tuple[ScoredRows, dict[str, float]]:
    """Return the outputs of the constant guess that is best by the primary metric, and each metric
    of the guess that is best by it."""
    target = trained.target
    known = target.values(read_arrow(parts.train, home, [target.column]))

    def guess(metric: str) -> ScoredRows:
        outputs = trivial_outputs(target, known, len(test_set.places), metric)
        return test_set.score(outputs, None)

    primary = guess(test_set.primary_metric)
    if target.task != "regression":
        return primary, primary.metrics()
    return primary, guess("rmse").metrics() | guess("mae").metrics({"mae"})


def _linear(
    test_set: TestSet, parts: SplitResult, trained: TrainedModel, home: Home
) -> ScoredRows | None:
    """Return the outputs of a linear model; None if there is none."""
    linear = linear_baseline(test_set.pipeline, parts, trained, home)
    if linear is None:
        return None
    target, found = trained.target, linear.target.classes
    outputs = of_classes(test_set.outputs(linear), found, target.classes)
    bounds = linear.description.regions if found == target.classes else None
    return test_set.score(outputs, linear.description.threshold, bounds)


def _at_half(scored: ScoredRows) -> dict[str, float]:
    """Return the metrics of decisions at a threshold of .5, if there are two classes."""
    if scored.task != "binary":
        return {}
    return replace(scored, threshold=0.5).metrics(DECISION_METRICS | FAIRNESS)


def _slices(test_set: TestSet, scored: ScoredRows) -> tuple[Slice, ...]:
    names = {test_set.primary_metric, *(("accuracy",) if test_set.candidate.classes else ())}
    evaluate = test_set.pipeline.spec.evaluate
    return tuple(
        Slice(
            column=column,
            value=value,
            rows=len(rows),
            metrics=scored.take(rows).metrics(names) if len(rows) >= evaluate.min_rows else {},
        )
        for column in evaluate.slices
        for value, rows in slice_rows(test_set.rows, column)
    )


def _groups(test_set: TestSet, scored: ScoredRows) -> tuple[Group, ...]:
    if not test_set.groupings:
        return ()
    return group_rates(test_set.groupings, test_set.rate_groups, scored.predicted)


def _store_plots(drawn: Mapping[str, bytes], candidate: Candidate, home: Home) -> dict[str, str]:
    """Store the plots under names of their content, so that a later evaluation overwrites none."""
    paths = {}
    for title, content in drawn.items():
        name = f"{title.lower().replace(' ', '_')}-{sha256(content).hexdigest()[:12]}.png"
        paths[title] = f"{candidate.model}/{candidate.version}/{name}"
        home.write_atomic(home.pictures / paths[title], content)
    return paths


def evaluation_metrics(verdict: EvaluationResult) -> dict[str, float]:
    """Return what MLflow shows of the evaluation."""
    tested = {f"test_{name}": value for name, value in verdict.metrics.items()}
    held_out = {
        f"robustness_{one.kind}_{one.level:g}_{verdict.headline}": one.mean
        for one in verdict.robustness
    }
    found = verdict.influence
    scores = {"influence_lds": found.score, "influence_lds_ceiling": found.ceiling} if found else {}
    differences = {
        f"champion_difference_{where}{gate.metric}{end}": number
        for gate in verdict.gates
        for where, one in (("", gate.difference), ("on_answers_", gate.on_answers))
        if one
        for end, number in (("", one.value), ("_low", one.low), ("_high", one.high))
    }
    half = {f"at_half_{name}": value for name, value in verdict.at_half.items()}
    shown = {**tested, **differences, **half, **held_out, **fold_figures(verdict.folds), **scores}
    return {metric_name(name): value for name, value in shown.items()}


def _log(verdict: EvaluationResult, drawn: Mapping[str, bytes], home: Home) -> None:
    from factory_resources.tracking.registry import Registry

    registry, candidate = Registry(home), verdict.candidate
    experiment = registry.client.get_run(candidate.run_id).info.experiment_id
    run = RegistryRun(registry, candidate.model, candidate.run_id, experiment)
    run.log_metrics([(0, evaluation_metrics(verdict))])
    with home.scratch() as folder:
        for title, content in drawn.items():
            (folder / f"{title.replace(' ', '_')}.png").write_bytes(content)
        if verdict.importances:
            text = verdict.importances.model_dump_json(indent=1)
            (folder / "importances.json").write_text(text, encoding="utf-8")
        (folder / "gates.json").write_text(_gates_json(verdict.gates), encoding="utf-8")
        registry.add_files(candidate.run_id, folder, "evaluation")
    passed = "passed" if verdict.passed else "failed"
    registry.tag_version(candidate.model, candidate.version, {"factory.gates": passed})


def _gates_json(gates: tuple[GateResult, ...]) -> str:
    return json.dumps([gate.model_dump() for gate in gates], indent=1)
