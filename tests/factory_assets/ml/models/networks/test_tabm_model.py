"""A TabM learns what a linear model cannot, from numbers of any size, the same every time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from factory_assets.ml.models.base import Fit
from factory_assets.ml.models.kinds import fit_model
from factory_assets.ml.models.networks.model import NetworkModel
from factory_assets.ml.models.networks.modules.tabm import TabmModule
from factory_assets.ml.training.fitting import fit, fit_context
from factory_assets.ml.training.preparation import prepare_rows
from factory_assets.spec.base import STORED
from factory_assets.spec.models import Tabm
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import pipeline

TABM: dict[str, Any] = {"kind": "tabm", "hidden": [16, 16], "members": 4, "epochs": 20}


def opposites(count: int, seed: int) -> pa.Table:
    """Return a class that no column tells alone: whether two numbers have the same sign."""
    chance = np.random.default_rng(seed)
    numbers = chance.normal(size=(count, 2))
    same = numbers[:, 0] * numbers[:, 1] > 0
    columns = {"first": np.exp(3 * numbers[:, 0]), "second": numbers[:, 1]}
    return pa.table({**columns, "constant": np.ones(count), "y": same.astype(int)})


def network_of(fitted: Fit) -> TabmModule:
    model = fitted.model
    assert isinstance(model, NetworkModel)
    assert isinstance(model.network, TabmModule)
    return model.network


def fitted(folder: Path, *, rounds: int | None = None, **changed: Any) -> Fit:
    declared = pipeline(folder, {**TABM, **changed})
    model = declared.spec.training.model
    ready = prepare_rows(declared, opposites(400, 1), opposites(100, 2), model)
    context = replace(fit_context(declared, ready, model, folder), rounds=rounds)
    return fit_model(context, ready.rows, ready.validation)


@pytest.mark.slow
def test_it_learns_what_a_linear_model_cannot(tmp_path: Path) -> None:
    rows, home = (opposites(2000, 1), opposites(400, 2)), Home(tmp_path / "home")
    linear = fit(pipeline(tmp_path, {"kind": "linear"}), *rows, home)
    network = fit(pipeline(tmp_path, {**TABM, "learning_rate": 0.01}), *rows, home)
    assert linear.validation["roc_auc"] < 0.6
    assert network.validation["roc_auc"] > 0.97


@pytest.mark.slow
def test_the_number_of_epochs_can_be_given(tmp_path: Path) -> None:
    found = fitted(tmp_path, patience=2)
    assert found.rounds is not None
    given = fitted(tmp_path, patience=2, rounds=found.rounds)
    assert len(given.history) == found.rounds == given.rounds
    ours, again = (network_of(one).state_dict() for one in (found, given))
    assert all(torch.equal(weights, again[name]) for name, weights in ours.items())


@pytest.mark.slow
def test_members_differ_and_share_their_layers(tmp_path: Path) -> None:
    network = network_of(fitted(tmp_path, epochs=3))
    first, *others = network.alone()
    numbers, codes = torch.randn(20, 2), torch.empty((20, 0), dtype=torch.int64)
    with torch.inference_mode():
        outputs = [one(numbers, codes) for one in (first, *others)]
    assert all(not torch.allclose(outputs[0], one, atol=1e-3) for one in outputs[1:])
    assert all(one.layers[2] is first.layers[2] for one in others)


def test_a_stored_tabm_is_read_as_it_was_declared() -> None:
    for declared in (Tabm(kind="tabm"), Tabm(kind="tabm", schedule="one_cycle", members=3)):
        written = declared.model_dump_json()
        assert Tabm.model_validate_json(written, context=STORED) == declared
