"""A TabM is many networks that share weights: each learns alone, together they predict."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from factory_assets.ml.models.networks.lightning.batches import Batch
from factory_assets.ml.models.networks.lightning.module import TrainingPlan
from factory_assets.ml.models.networks.modules.tabm import TabmModule
from factory_assets.spec.models import Tabm
from factory_assets.spec.train import Task

MEMBERS = 3


def tabm(
    outputs: int, task: Task = "multiclass", weights: Tensor | None = None, **changed: Any
) -> TabmModule:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden": (8, 5), "members": MEMBERS, "bins": 4, "embedding": 2}
    module = TabmModule(3, [4], outputs, dropout=0.0, **(sizes | changed))
    module.plan = TrainingPlan(task, Tabm(kind="tabm"), 10, 10, weights)
    module.fit_inputs(batch(outputs))
    return module


def batch(outputs: int, rows: int = 40) -> Batch:
    torch.manual_seed(1)
    target = torch.randn(rows) if outputs == 1 else torch.randint(0, outputs, (rows,))
    return torch.randn(rows, 3), torch.randint(0, 4, (rows, 1)), target


@torch.no_grad()
@pytest.mark.parametrize("hidden", [(8,), (8, 5, 4)])
def test_each_member_is_a_network_of_its_own(hidden: tuple[int, ...]) -> None:
    module, (numbers, codes, _) = tabm(3, hidden=hidden).eval(), batch(3)
    outputs = module.member_outputs(numbers, codes)
    assert outputs.shape == (MEMBERS, 40, 3)
    for one, member in zip(outputs, module.alone(), strict=True):
        torch.testing.assert_close(member(numbers, codes), one)
    assert not torch.allclose(outputs[0], outputs[1], atol=0.01)


@torch.no_grad()
def test_it_predicts_the_mean_of_its_members() -> None:
    module, (numbers, codes, _) = tabm(3).eval(), batch(3)
    shares = module.member_outputs(numbers, codes).softmax(dim=2).mean(dim=0)
    torch.testing.assert_close(module(numbers, codes).softmax(dim=1), shares)
    number = tabm(1, "regression").eval()
    mean = number.member_outputs(numbers, codes).mean(dim=0)
    torch.testing.assert_close(number(numbers, codes), mean)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 5.0, 0.2])])
def test_each_member_learns_from_its_own_loss(weights: Tensor | None) -> None:
    module, (numbers, codes, target) = tabm(3, weights=weights).train(), batch(3)
    outputs = module.member_outputs(numbers, codes)
    losses = [functional.cross_entropy(one, target, weight=weights) for one in outputs]
    loss = module.loss((numbers, codes, target))
    torch.testing.assert_close(loss, torch.stack(losses).mean())
    (gradient,) = torch.autograd.grad(loss, module.last.weight)
    for number, own in enumerate(losses):
        (alone,) = torch.autograd.grad(own, module.last.weight, retain_graph=True)
        torch.testing.assert_close(gradient[number], alone[number] / MEMBERS)


def test_numbers_have_a_mean_loss_too() -> None:
    module, (numbers, codes, target) = tabm(1, "regression").train(), batch(1)
    outputs = module.member_outputs(numbers, codes).squeeze(2)
    expected = (outputs - target).square().mean()
    torch.testing.assert_close(module.loss((numbers, codes, target)), expected)


@torch.no_grad()
def test_outside_of_training_the_loss_is_that_of_the_mean() -> None:
    module, (numbers, codes, target) = tabm(3).eval(), batch(3)
    shares = module.member_outputs(numbers, codes).softmax(dim=2).mean(dim=0)
    expected = functional.nll_loss(shares.log(), target)
    torch.testing.assert_close(module.loss((numbers, codes, target)), expected)


def test_a_batch_may_have_one_row_and_inputs_of_one_sort() -> None:
    module = tabm(3).train()
    module.loss(batch(3, rows=1)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
    numbers, codes, _ = batch(3, rows=5)
    sizes: dict[str, Any] = {"hidden": (4,), "dropout": 0.1, "bins": 4, "embedding": 2}
    no_codes = TabmModule(3, [], 2, members=2, **sizes)
    assert no_codes(numbers, codes[:, :0]).shape == (5, 2)
    no_numbers = TabmModule(0, [4], 2, members=2, **sizes)
    assert no_numbers(numbers[:, :0], codes).shape == (5, 2)
