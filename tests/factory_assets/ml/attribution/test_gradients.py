"""Gradients row by row, compared with autograd for one row at a time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from factory_assets.ml.attribution.gradients import (
    MAX_JACOBIAN,
    View,
    linearise,
    reach_of,
    views_of,
)
from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.base import Shape
from factory_assets.ml.models.networks.modules.mlp import MlpModule
from factory_assets.ml.models.networks.modules.sequence import SequenceModule
from factory_assets.ml.models.networks.modules.tabm import TabmModule
from factory_assets.ml.models.networks.tabm_model import TabmModel
from factory_assets.spec.models import Gru, Tabm
from factory_resources.errors import ModelError


def mlp(outputs: int) -> View:
    torch.manual_seed(0)
    module = MlpModule(3, [4], outputs, hidden=(5, 4), dropout=0.5, activation="gelu").eval()
    return View(module, (), (torch.randn(6, 3), torch.randint(0, 4, (6, 1))))


def tabm(outputs: int) -> View:
    """One of three members."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden": (5, 4), "members": 3, "bins": 4, "embedding": 2}
    module = TabmModule(3, [4], outputs, dropout=0.5, **sizes).eval()
    rows = (torch.randn(6, 3), torch.randint(0, 4, (6, 1)))
    module.fit_inputs((*rows, torch.empty(6)))
    return View(module.alone()[1], (), rows, networks=3)


def gru() -> View:
    torch.manual_seed(0)
    spec = Gru(kind="gru", by="unit", order="cycle", window=4, hidden=8)
    module = SequenceModule(2, [], 3, spec).eval()
    windows = torch.tensor([[0, 1, 2, -1], [1, 2, 3, 4], [5, -1, -1, -1]])
    return View(module, (torch.randn(6, 2), torch.empty((6, 0), dtype=torch.int64)), (windows,))


def by_autograd(view: View, row: int, parameters: list[Any]) -> torch.Tensor:
    """[free, parameters]: the Jacobian of one row."""
    outputs = view.module(*view.shared, *(part[row : row + 1] for part in view.each))[0]
    free = outputs if len(outputs) == 1 else outputs[:-1] - outputs[-1]
    rows = [torch.autograd.grad(one, parameters, retain_graph=True) for one in free]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


@pytest.mark.parametrize("view", [mlp(1), mlp(2), mlp(4), tabm(1), tabm(3)])
def test_jacobian_by_all_parameters_equals_autograd(view: View) -> None:
    linearised = linearise(view, "all parameters")
    for row in range(6):
        expected = by_autograd(view, row, list(view.module.parameters()))
        torch.testing.assert_close(linearised.jacobian[row], expected)
    torch.testing.assert_close(linearised.outputs, view.module(*view.each))


@pytest.mark.parametrize("view", [mlp(1), mlp(3), tabm(3), gru()])
def test_jacobian_by_the_last_layer_equals_autograd(view: View) -> None:
    linearised = linearise(view, "last layer")
    last = [layer for layer in view.module.modules() if isinstance(layer, nn.Linear)][-1]
    for row in range(len(linearised.outputs)):
        # Autograd returns all weights, then all biases; ours has each bias beside its weights.
        weight, bias = by_autograd(view, row, [last.weight, last.bias]).split(
            [last.weight.numel(), last.bias.numel()], dim=1
        )
        beside = torch.cat([weight.unflatten(1, last.weight.shape), bias[:, :, None]], dim=2)
        torch.testing.assert_close(linearised.jacobian[row], beside.flatten(1))


def test_reach_is_all_parameters_only_for_a_small_network() -> None:
    assert reach_of(mlp(2), 6, 2) == "all parameters"
    assert reach_of(mlp(2), 10_000_000, 2) == "last layer"
    assert reach_of(gru(), 3, 3) == "last layer"
    alone = replace(tabm(2), networks=1)
    rows = MAX_JACOBIAN // sum(p.numel() for p in alone.module.parameters())
    assert reach_of(alone, rows, 2) == "all parameters"
    assert reach_of(tabm(2), rows, 2) == "last layer"


def test_each_member_of_a_tabm_is_a_view() -> None:
    shape = Shape("multiclass", 3, (4,), 3)
    spec = Tabm(kind="tabm", members=3, hidden=(4,), bins=2, embedding=2)
    model = TabmModel(shape, TabmModel._build(spec, shape, Path()))
    inputs = Arrays(np.ones((2, 3), np.float32), np.ones((2, 1), np.int64))
    views = views_of(model, inputs)
    assert [view.networks for view in views] == [3, 3, 3]
    shares = torch.stack([view.module(*view.each).softmax(dim=1) for view in views]).mean(dim=0)
    np.testing.assert_allclose(model.outputs(inputs), shares.detach().numpy(), atol=1e-6)


def test_network_without_a_linear_last_layer_is_rejected() -> None:
    ends = nn.Sequential(nn.Linear(3, 2), nn.Softmax(dim=1))
    with pytest.raises(ModelError, match="does not end in a linear layer"):
        linearise(View(ends, (), (torch.randn(4, 3),)), "last layer")
