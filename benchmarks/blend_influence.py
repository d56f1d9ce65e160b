"""Influence of trees and blends: how well effects predict training on half of the rows.

    python -m benchmarks.blend_influence

Each kind alone, and blends of several with given weights, on tables of scikit-learn. The damping is
chosen on validation rows and other halves; the score is measured on test rows. Single core.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.measure import Result
from factory_assets.ml.attribution.blend_effects import model_attribution
from factory_assets.ml.attribution.lds import halves, lds, predicted_quantity
from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import FitContext, Shape
from factory_assets.ml.models.kinds import model_class
from factory_assets.ml.models.portfolio.blend import BlendModel, blend_class
from factory_assets.results.evaluation import Variant
from factory_assets.spec.linear import Linear
from factory_assets.spec.models import (
    Auto,
    ExtraTrees,
    GradientBoosting,
    LightGbm,
    MemberSpec,
    Mlp,
    RandomForest,
)

MEMBERS: tuple[MemberSpec, ...] = (
    Linear(kind="linear"),
    GradientBoosting(kind="gradient_boosting", iterations=60),
    LightGbm(kind="lightgbm", iterations=60),
    ExtraTrees(kind="extra_trees", trees=100),
    RandomForest(kind="random_forest", trees=100),
    Mlp(kind="mlp", hidden=(32,), dropout=0.0, weight_decay=1.0),
)
KINDS: list[str] = [member.kind for member in MEMBERS]
BLENDS: tuple[Mapping[str, float], ...] = (
    *({kind: 1.0} for kind in KINDS),
    {"linear": 0.4, "lightgbm": 0.6},
    {"gradient_boosting": 0.5, "random_forest": 0.5},
    {"lightgbm": 0.5, "mlp": 0.5},
    {kind: 1 / len(KINDS) for kind in KINDS},
)
MUST = {"wine": 0.15, "diabetes": 0.35}
"""Table to the lower bound of each score."""
HALVES, CHOOSING, JUDGED = 24, 8, 20


@dataclass(frozen=True)
class Table:
    train: LabelledArrays
    validation: LabelledArrays
    test: LabelledArrays
    shape: Shape


@dataclass(frozen=True)
class Halved:
    """All members trained on halves, and their outputs for judged rows."""

    members: Any
    """[halves, training rows]."""
    judged: LabelledArrays
    outputs: Any
    """[halves, members, judged, …]."""

    def score(self, blend: BlendModel, method: Any, variant: Variant) -> float:
        inputs, said = self.judged.inputs, None
        if self.judged.target.dtype.kind == "i":
            said = blend.outputs(inputs).argmax(axis=1)
        outputs = np.einsum("m,hm...->h...", np.array(blend.weights), self.outputs)
        observed = predicted_quantity(outputs, said)
        return lds(method.effects(variant, inputs, said), self.members, observed)


def run() -> list[Result]:
    return [result for name in MUST for result in _measured(name)]


def _measured(name: str) -> Iterator[Result]:
    os.environ["TQDM_DISABLE"] = "1"
    import torch

    torch.set_num_threads(1)
    table = _table(name)
    whole = _fitted(table, table.train, 0)
    choosing = _halved(table, table.validation, CHOOSING, 1)
    measured = _halved(table, table.test, HALVES, 0)
    for weights in BLENDS:
        shares = [weights.get(kind, 0.0) for kind in KINDS]
        kept = {i: whole.kept[i] for i, share in enumerate(shares) if share}
        blend = type(whole)(table.shape, kept, shares)
        method = model_attribution([blend], table.train)
        variant = max(method.variants, key=lambda one: choosing.score(blend, method, one))
        score = measured.score(blend, method, variant)
        parts = ", ".join(f"{kind} {share:.0%}" for kind, share in weights.items())
        bound = MUST[name]
        yield Result(
            f"influence LDS, {name}, {parts}", f"{score:.2f}", f">= {bound}", score >= bound
        )


def _halved(table: Table, judged: LabelledArrays, count: int, seed: int) -> Halved:
    judged = judged.take(np.arange(min(JUDGED, len(judged))))
    members = halves(table.train.target, count, seed)
    outputs = []
    for half in members:
        blend = _fitted(table, table.train.take(np.flatnonzero(half)), 1000)
        outputs.append(
            [one.outputs(blend.as_read_by(i, judged.inputs)) for i, one in blend.kept.items()]
        )
    return Halved(members, judged, np.array(outputs))


def _fitted(table: Table, rows: LabelledArrays, seed: int) -> BlendModel:
    """Return a blend of all members, fitted on the rows, each with the same weight."""
    with TemporaryDirectory() as scratch:
        context = FitContext(
            Auto(kind="auto", members=MEMBERS),
            table.shape,
            seed,
            None,
            Path(),
            Path(scratch),
            lambda _: None,
        )
        classes = [model_class(member, Path()) for member in MEMBERS]
        equal = blend_class(classes)(table.shape, {}, [1 / len(KINDS)] * len(KINDS))
        rounds = dict.fromkeys(range(len(KINDS)))
        return equal.on_other_rows(context, rows, table.validation, rounds)


def _table(name: str) -> Table:
    """70 % training, 10 % validation and 20 % test rows; numbers standardised by the first."""
    from sklearn import datasets

    points, target = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(points))
    points, target = points[order].astype(np.float32), target[order]
    test, validation = len(points) // 5, len(points) * 3 // 10
    is_number = target.dtype.kind == "f"
    if is_number:
        target = (target - target[validation:].mean()) / target[validation:].std()
    target = target.astype(np.float32 if is_number else np.int64)
    learned = points[validation:]
    whole = LabelledArrays(Arrays(points, np.empty((len(points), 0), np.int64)), target)
    edges = (0, test, validation, len(points))
    parts = [whole.take(np.arange(a, b)) for a, b in pairwise(edges)]
    shape = Shape(
        "regression" if is_number else "multiclass",
        points.shape[1],
        (),
        1 if is_number else int(target.max()) + 1,
        scales=tuple(zip(learned.mean(axis=0).tolist(), learned.std(axis=0).tolist(), strict=True)),
    )
    return Table(parts[2], parts[1], parts[0], shape)


if __name__ == "__main__":
    for result in run():
        print(result.name, result.measured, result.target, sep=": ", flush=True)
