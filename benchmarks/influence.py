"""Influence: how well effects predict training on half of the rows, and find flipped labels.

    python -m benchmarks.influence

Compared with the methods of dattri (a development extra) on the same networks, halves and judged
rows. Our damping is chosen on validation rows and other halves; those of dattri are chosen by the
measured score itself, in their favour. Three repetitions, each with its own split and seeds; single
core.
"""

import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Result
from factory_assets.ml.attribution.lds import ceiling, halves, lds, predicted_quantity
from factory_assets.ml.attribution.methods import Attribution, attribution
from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import FitContext, Model, Shape
from factory_assets.ml.models.kinds import fit_model
from factory_assets.results.evaluation import Variant
from factory_assets.spec.models import Mlp

NETWORK = Mlp(kind="mlp", hidden=(32,), dropout=0.0, weight_decay=1.0)
"""Decay so strong that training ends where it balances the loss, and not by early stopping."""
REPETITIONS, SEEDS, HALVES, JUDGED, CHOOSING = 3, 3, 16, 40, 10
RETRAINED = 2
"""Seeds from which each half is trained."""
EXPLICIT = 1500
"""Parameters above which dattri's explicit Hessian takes gigabytes."""
MUST = {"breast cancer": (0.6, 0.95), "digits": (0.7, 0.98)}
"""Data set to its lower bounds: LDS, and AUC of finding flipped labels."""


@dataclass(frozen=True)
class Table:
    train: LabelledArrays
    validation: LabelledArrays
    test: LabelledArrays
    classes: int


def run() -> list[Result]:
    return [result for name in MUST for result in _measured(name)]


def _measured(name: str) -> Iterator[Result]:
    os.environ["TQDM_DISABLE"] = "1"
    import torch

    torch.set_num_threads(1)
    scores: dict[str, list[float]] = defaultdict(list)
    for seed in range(REPETITIONS):
        for measure, value in _repetition(_table(name, seed), seed).items():
            scores[measure].append(value)
    lds_bound, auc_bound = MUST[name]
    theirs = {measure: values for measure, values in scores.items() if measure.startswith("dattri")}
    best = max(theirs, key=lambda measure: np.mean(theirs[measure]))
    others = "; ".join(f"{measure} {_spread(values)}" for measure, values in theirs.items())
    yield Result(
        f"influence LDS, {name}",
        f"{_spread(scores['lds'])} (ceiling {_spread(scores['ceiling'])}); {others}",
        f">= {lds_bound}; aim: {best} + .1",
        float(np.mean(scores["lds"])) >= lds_bound,
    )
    yield Result(
        f"flipped labels, {name}",
        f"AUC {_spread(scores['auc'])}",
        f">= {auc_bound}",
        float(np.mean(scores["auc"])) >= auc_bound,
    )


def _repetition(table: Table, seed: int) -> dict[str, float]:
    models = [_fit(table, table.train, seed + 1000 * i) for i in range(SEEDS)]
    ours = attribution(models, table.train)
    judged = table.test.take(np.arange(JUDGED))
    variant = _choose(ours, table, seed)
    members = halves(table.train.target, HALVES, seed)
    observed = _retrained(table, members, judged, RETRAINED, seed)
    effects = ours.effects(variant, judged.inputs, judged.target)
    scores = {
        "lds": lds(effects, members, observed.mean(axis=1)),
        "ceiling": ceiling(observed),
        "auc": _flipped(table, seed, variant),
    }
    for name, theirs in _dattri(models, table, judged).items():
        scores[name] = max(lds(e, members, observed.mean(axis=1)) for e in theirs)
    return scores


def _choose(ours: Attribution, table: Table, seed: int) -> Variant:
    """Choose the damping on other halves and validation rows."""
    members = halves(table.train.target, CHOOSING, seed + 500)
    judged = table.validation.take(np.arange(min(JUDGED, len(table.validation))))
    observed = _retrained(table, members, judged, 1, seed + 500)[:, 0]

    def score(variant: Variant) -> float:
        return lds(ours.effects(variant, judged.inputs, judged.target), members, observed)

    return max(ours.variants, key=score)


def _retrained(table: Table, members: Any, judged: LabelledArrays, seeds: int, first: int) -> Any:
    """[halves, seeds, judged]: the log-odds of each judged row's class."""
    return np.array(
        [
            [
                predicted_quantity(
                    _fit(
                        table, table.train.take(np.flatnonzero(half)), 7 + first + 1000 * (10 + s)
                    ).outputs(judged.inputs),
                    judged.target,
                )
                for s in range(seeds)
            ]
            for half in members
        ]
    )


def _flipped(table: Table, seed: int, variant: Variant) -> float:
    """AUC of self-influence for finding the 10 % of labels that were changed."""
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(seed)
    flipped = random.random(len(table.train)) < 0.1
    shift = random.integers(1, table.classes, len(table.train))
    labels = np.where(flipped, (table.train.target + shift) % table.classes, table.train.target)
    noisy = LabelledArrays(table.train.inputs, labels)
    models = [_fit(table, noisy, seed + 1000 * i) for i in range(SEEDS)]
    return float(roc_auc_score(flipped, attribution(models, noisy).suspicion(variant)))


def _dattri(models: list[Model], table: Table, judged: LabelledArrays) -> Mapping[str, list[Any]]:
    """Return each method's effects [judged, training rows], per damping; means over networks."""
    from dattri.algorithm import influence_function as theirs
    from dattri.algorithm.tracin import TracInAttributor
    from dattri.algorithm.trak import TRAKAttributor
    from torch import ones

    small = models[0].parameters is not None and models[0].parameters <= EXPLICIT
    methods: dict[str, list[Callable[[Any, Any], Any]]] = {
        "dattri TracIn": [lambda task, _: TracInAttributor(task, ones(1), False)],
        "dattri TRAK": [
            lambda task, right, r=r: TRAKAttributor(task, right, regularization=r) for r in (1.0,)
        ],
        "dattri EK-FAC": [
            lambda task, _, r=r: theirs.IFAttributorEKFAC(task, damping=r) for r in (0.01, 0.1)
        ],
        "dattri DataInf": [
            lambda task, _, r=r: theirs.IFAttributorDataInf(task, regularization=r)
            for r in (0.01, 0.1)
        ],
    }
    if small:
        methods["dattri explicit"] = [
            lambda task, _, r=r: theirs.IFAttributorExplicit(task, regularization=r)
            for r in (0.01, 0.1, 1.0)
        ]
    return {
        name: [np.mean([_theirs(m, make, table, judged) for m in models], axis=0) for make in makes]
        for name, makes in methods.items()
    }


def _theirs(
    model: Any, make: Callable[[Any, Any], Any], table: Table, judged: LabelledArrays
) -> Any:
    import torch
    from dattri.task import AttributionTask
    from torch.func import functional_call
    from torch.utils.data import DataLoader, TensorDataset

    network = model.network.layers
    width = table.train.inputs.numbers.shape[1]

    def loss(params: Any, data: Any) -> Any:
        outputs = functional_call(network, params, (data[0].reshape(-1, width),))
        return torch.nn.functional.cross_entropy(outputs, data[1].reshape(-1).long())

    def right(params: Any, data: Any) -> Any:
        return torch.exp(-loss(params, data))

    task = AttributionTask(loss_func=loss, model=network, checkpoints=network.state_dict())
    attributor = make(task, right)
    loaders = [
        DataLoader(
            TensorDataset(torch.from_numpy(r.inputs.numbers), torch.from_numpy(r.target)),
            batch_size=len(r),
        )
        for r in (table.train, judged)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not type(attributor).__name__.startswith("TracIn"):
            attributor.cache(loaders[0])
        if type(attributor).__name__.startswith("TRAK"):
            return attributor.attribute(loaders[1]).detach().numpy().T
        return attributor.attribute(*loaders).detach().numpy().T


def _fit(table: Table, rows: LabelledArrays, seed: int) -> Model:
    shape = Shape(
        "binary" if table.classes == 2 else "multiclass",
        rows.inputs.numbers.shape[1],
        (),
        table.classes,
    )
    context = FitContext(NETWORK, shape, seed, None, Path(), Path("/tmp"), lambda _: None)
    return fit_model(context, rows, table.validation).model


def _table(name: str, seed: int) -> Table:
    """70 % training, 10 % validation and 20 % test rows, scaled by the training rows."""
    from sklearn.datasets import load_breast_cancer, load_digits

    points, classes = (load_digits if name == "digits" else load_breast_cancer)(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(points))
    points, classes = points[order], classes[order].astype(np.int64)
    test, validation = len(points) // 5, len(points) * 3 // 10
    spread = points[validation:].std(axis=0)
    spread[spread == 0] = 1
    numbers = ((points - points[validation:].mean(axis=0)) / spread).astype(np.float32)
    whole = LabelledArrays(Arrays(numbers, np.empty((len(numbers), 0), np.int64)), classes)
    edges = (0, test, validation, len(points))
    parts = [whole.take(np.arange(a, b)) for a, b in pairwise(edges)]
    return Table(parts[2], parts[1], parts[0], int(classes.max()) + 1)


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


if __name__ == "__main__":
    for result in run():
        print(result.name, result.measured, result.target, sep=": ", flush=True)
