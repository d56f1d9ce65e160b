"""Cross-validation beside the held test: every row is judged once, by a model trained without it.

Folds are dealt over the rows of all three parts: alike in their classes, whole groups in one fold.
Each fold fits preprocessing and model anew; nothing is chosen by what comes out.

Rows dealt out so that every hand is alike: in their classes, whole groups in one hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.evaluation.test_set import TestSet, judged_rows
from factory_assets.ml.features.series import value_codes
from factory_assets.ml.features.target import Target
from factory_assets.ml.metrics.metrics import ScoredRows, metric_names
from factory_assets.ml.training.fitting import fit
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import FoldMetric, Folds
from factory_assets.spec import Pipeline
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


Progress = Callable[[str], None]

DECIDED = frozenset({"accuracy", "balanced_accuracy", "f1", "precision", "recall"})
"""Metrics of decisions, which each fold makes by its own threshold."""


def cross_validate(
    judgement: TestSet,
    parts: SplitResult,
    trained: TrainedModel,
    home: Home,
    progress: Progress | None = None,
) -> Folds | None:
    """Judge every row of the three parts; None where no folds are declared.

    Args:
        judgement: of the candidate; rows and truth are each fold's own.
        trained: the candidate, whose kind, settings and classes each fold learns anew.

    Raises:
        DataError: there are fewer rows or groups than folds, or a class is too rare for each fold
            to train on it.
    """
    import numpy as np
    import pyarrow as pa

    pipeline = _pinned(judgement.pipeline, trained.target)
    count = pipeline.spec.evaluate.folds
    if not count:
        return None
    whole = pa.concat_tables(
        [read_arrow(part, home) for part in (parts.train, parts.validation, parts.test)]
    )
    if (unseen := trained.target.values(whole) < 0).any():
        raise _too_rare(
            trained.target, str(whole[trained.target.column].filter(unseen)[0]), pipeline
        )
    dealt = _ranks(pipeline, trained.target, whole)
    if dealt.max() + 1 < count:
        raise DataError(
            f"{count} folds need as many rows or groups; there are {dealt.max() + 1}",
            where=f"{pipeline.name}/evaluate",
            remedy="declare fewer in evaluate.folds, or give more data",
        )
    scored = []
    for fold in range(count):
        if progress:
            progress(f"fold {fold + 1} of {count}")
        held = dealt % count == fold
        rest, judged = (whole.take(np.flatnonzero(rows)) for rows in (~held, held))
        model = _fit(pipeline, trained, rest, home)
        places = judged_rows(judged, pipeline.spec.evaluate.last)
        truth = trained.target.values(judged)[places]
        own = replace(judgement, pipeline=pipeline, test=judged, places=places, truth=truth)
        scored.append(own.score_model(model))
    return Folds(count=count, rows=sum(map(len, scored)), metrics=_metrics(scored))


def fold_figures(folds: Folds | None) -> dict[str, float]:
    """As they are logged: `cv_<metric>_mean`, `_sd` and `_pooled`."""
    figures = {
        f"cv_{name}_{figure}": getattr(metric, figure)
        for name, metric in (folds.metrics if folds else {}).items()
        for figure in ("mean", "sd", "pooled")
    }
    return {name: value for name, value in figures.items() if value is not None}


def _fit(pipeline: Pipeline, trained: TrainedModel, rest: pa.Table, home: Home) -> TrainedModel:
    """Learn from rows as `train` does, a share of them held out for stopping and the threshold."""
    held = drawn(_ranks(pipeline, trained.target, rest), pipeline.spec.split.validation)
    model = trained.description.spec
    found = fit(pipeline, rest.filter(~held), rest.filter(held), home, model=model).trained
    if lost := sorted(set(trained.target.classes) - set(found.target.classes)):
        raise _too_rare(found.target, lost[0], pipeline)
    return found


def _too_rare(target: Target, name: str, pipeline: Pipeline) -> DataError:
    return DataError(
        f"class {name!r} of target {target.column!r} has too few rows to train on in every fold",
        where=f"{pipeline.name}/evaluate",
        remedy="give more rows of it, send it to quarantine, or leave evaluate.folds out",
    )


def _pinned(pipeline: Pipeline, target: Target) -> Pipeline:
    """The same task in every fold, and the same positive class; groups are compared elsewhere."""
    positive = {"positive": target.classes[1]} if target.task == "binary" else {}
    train = pipeline.spec.training.model_copy(update={"task": target.task, **positive})
    evaluate = pipeline.spec.evaluate.model_copy(update={"protected": ()})
    spec = pipeline.spec.model_copy(update={"train": train, "evaluate": evaluate})
    return replace(pipeline, spec=spec)


def _ranks(pipeline: Pipeline, target: Target, table: pa.Table) -> NDArray[np.int64]:
    import numpy as np

    rule = pipeline.spec.split
    strata = target.values(table) if target.classes else np.zeros(table.num_rows, np.int64)
    if rule.stratify:
        codes = value_codes(table[rule.stratify])
        strata = strata * (codes.max() + 1) + codes
    units = value_codes(table[rule.group]) if rule.group else np.arange(table.num_rows)
    return deal(strata, units, rule.seed)


def _metrics(scored: Sequence[ScoredRows]) -> dict[str, FoldMetric]:
    found = [fold.metrics() for fold in scored]
    pooled = _pooled(scored)
    return {
        name: FoldMetric(
            values=tuple(metrics.get(name) for metrics in found), pooled=pooled.get(name)
        )
        for name in metric_names(scored[0].task)
        if any(name in metrics for metrics in found)
    }


def _pooled(scored: Sequence[ScoredRows]) -> dict[str, float]:
    """Of all folds as one; what each decided by its own threshold stays decided."""
    import numpy as np

    first = scored[0]
    truth = np.concatenate([fold.truth for fold in scored])
    outputs = np.concatenate([fold.outputs for fold in scored])
    names = set(metric_names(first.task))
    plain = replace(first, truth=truth, outputs=outputs).metrics(names - DECIDED)
    if first.task == "regression":
        return plain
    decided = np.eye(outputs.shape[1])[np.concatenate([fold.predicted for fold in scored])]
    sure = replace(first, truth=truth, outputs=decided, threshold=0.5)
    return {**plain, **sure.metrics(names & DECIDED)}


def deal(strata: NDArray[Any], units: NDArray[Any], seed: int) -> NDArray[np.int64]:
    """The place of each row's unit in an order in which alike units stand together, else by chance.

    Dealt from it like cards, every hand is alike. A unit counts as the rarest of its rows' strata,
    so that rare classes are spread; of alike units the larger come first.

    Args:
        strata: [rows], not negative: what hands should hold alike.
        units: [rows]: rows of the same unit stay together.
    """
    import numpy as np

    _, unit, size = np.unique(units, return_inverse=True, return_counts=True)
    rarity = np.bincount(strata)[strata]
    by_unit = np.lexsort((strata, rarity, unit))
    stratum = strata[by_unit[np.searchsorted(unit[by_unit], np.arange(len(size)))]]
    chance = np.random.default_rng(seed).permutation(len(size))
    ranks = np.empty(len(size), dtype=np.int64)
    ranks[np.lexsort((chance, -size, stratum))] = np.arange(len(size))
    return ranks[unit]


def drawn(ranks: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """A share of what is dealt, at least one unit: evenly through the order."""
    import numpy as np

    return np.asarray(np.floor(ranks * share) > np.floor((ranks - 1) * share))
