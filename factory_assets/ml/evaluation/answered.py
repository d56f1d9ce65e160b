"""Compare candidate and champion on answers whose outcomes are known.

Choosing and preparing the answers belongs in `data.labelled_answers`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.artifacts.typical_row import input_kinds
from factory_assets.ml.evaluation.champion import compare_champion
from factory_assets.ml.evaluation.gates import AnswerMetrics, ChampionMetrics
from factory_assets.ml.evaluation.test_set import TestSet, without_groups
from factory_assets.spec.evaluate import FAIRNESS
from factory_resources.errors import DataError
from factory_resources.home.home import Home

if TYPE_CHECKING:
    import pyarrow as pa


def compare_on_answers(
    test_set: TestSet, rows: pa.Table, trained: TrainedModel, version: int, home: Home
) -> AnswerMetrics:
    """Return the metrics of both models on these rows.

    Args:
        rows: clean rows with the target; those of a class that no training row has are left out.

    Raises:
        DataError: too few rows are left, or the champion cannot be judged on them.
    """
    import numpy as np

    truth = trained.target.values(rows)
    places = np.flatnonzero(truth >= 0) if trained.target.classes else np.arange(len(truth))
    fewest = test_set.pipeline.spec.evaluate.answers.at_least
    if len(places) < fewest:
        raise DataError(
            f"{len(places):,} can be scored, fewer than {fewest:,}",
            remedy="lower evaluate.answers.at_least, or wait for more outcomes",
        )
    pipeline = test_set.pipeline
    if not test_set.guarded & FAIRNESS:
        # A protected column need not be an input, and then no answer has it.
        pipeline = without_groups(pipeline)
    answered = replace(test_set, pipeline=pipeline, test=rows, places=places, truth=truth[places])
    scored = answered.score_model(trained)
    champion = compare_champion(answered, scored, version, home)
    if not isinstance(champion, ChampionMetrics):
        raise DataError(
            f"the champion cannot be judged on them: {champion and champion.reason}",
            remedy="the comparison on the test rows says more",
        )
    names = answered.guarded
    metrics = {name: value for name, value in champion.metrics.items() if name in names}
    return AnswerMetrics(len(places), scored.metrics(names), replace(champion, metrics=metrics))


def columns_needed(trained: TrainedModel) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the columns of the inputs and the target, and the kinds of those without a contract.

    Raises:
        DataError: the model reads rows before the answered one.
    """
    features = trained.features
    if features.series:
        raise DataError(
            "the model reads the rows before them",
            remedy="evaluate.answers: {newest: 0} compares on the test rows only",
        )
    kinds = input_kinds(features)
    if trained.target.classes:
        kinds[trained.target.column] = "tensor(string)"
    return tuple(dict.fromkeys((*features.columns, trained.target.column))), kinds
