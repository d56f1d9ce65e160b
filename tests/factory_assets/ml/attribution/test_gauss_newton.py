"""Gauss-Newton influence against its dense formula, leaving rows out, and dattri."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

from factory_assets.ml.attribution.gauss_newton import Space, odds_gradient, space
from factory_assets.ml.attribution.gradients import Linearised, View, linearise, views_of
from factory_assets.ml.attribution.lds import predicted_quantity
from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.networks.modules.mlp import MlpModule
from factory_assets.spec.linear import Linear
from tests.factory_assets.ml.attribution.cases import drawn, fitted, tumours

WEAK = Linear(kind="linear", regularisation=0.01)


def network(rows: int, outputs: int) -> tuple[View, torch.Tensor]:
    torch.manual_seed(1)
    module = MlpModule(3, [], outputs, hidden=(4,), dropout=0.0, activation="gelu").double().eval()
    inputs = torch.randn(rows, 3, dtype=torch.float64)
    target: Any = torch.randint(0, outputs, (rows,)) if outputs > 1 else torch.randn(rows)
    return View(module, (), (inputs, torch.empty((rows, 0), dtype=torch.int64))), target


def dense(linearised: Linearised, target: torch.Tensor, damping: float) -> tuple[torch.Tensor, ...]:
    """Return the inverse of the damped matrix and each row's gradient, without decomposition."""
    if linearised.outputs.shape[1] == 1:
        second = torch.ones(len(target), 1, 1, dtype=torch.float64)
        first = linearised.outputs - target[:, None]
    else:
        shares = linearised.outputs.softmax(1)
        second = (torch.diag_embed(shares) - shares[:, :, None] * shares[:, None])[:, :-1, :-1]
        first = (shares - torch.nn.functional.one_hot(target, shares.shape[1]))[:, :-1]
    hessian = torch.einsum(
        "nkp,nkl,nlq->pq", linearised.jacobian, second, linearised.jacobian
    ) / len(target)
    # The metric: the root of the diagonal, up to a factor.
    diagonal = hessian.diagonal()
    metric = (diagonal + 1e-3 * diagonal.mean()).sqrt()
    root = metric.pow(-0.5)
    largest = torch.linalg.eigvalsh(root[:, None] * hessian * root).max()
    inverse = torch.linalg.inv(hessian + damping * largest * torch.diag(metric))
    return inverse, torch.einsum("nk,nkp->np", first, linearised.jacobian)


@pytest.mark.parametrize("rows", [6, 60])
@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_effects_equal_the_dense_formula(rows: int, outputs: int) -> None:
    """More parameters than rows, and fewer."""
    view, target = network(rows, outputs)
    linearised = linearise(view, "all parameters")
    directions = space(linearised, target)
    inverse, learned = dense(linearised, target, 0.05)
    classes = target if outputs > 1 else None
    gradients = directions.output_gradients(linearised, classes)
    expected_gradients = linearised.jacobian[:, 0]
    if classes is not None:
        slopes = odds_gradient(linearised.outputs, classes)[:, :-1]
        expected_gradients = torch.einsum("nk,nkp->np", slopes, linearised.jacobian)
    expected = -expected_gradients @ inverse @ learned.T / rows
    torch.testing.assert_close(directions.effects(gradients, 0.05), expected, rtol=1e-5, atol=1e-8)
    own = torch.einsum("np,pq,nq->n", learned, inverse, learned) / rows
    torch.testing.assert_close(directions.self_influence(0.05), own, rtol=1e-5, atol=1e-8)


def test_row_of_weight_two_counts_as_two_rows() -> None:
    view, target = network(20, 2)
    linearised = linearise(view, "all parameters")
    doubled = torch.cat([torch.arange(20), torch.tensor([3])])
    twice = space(
        Linearised(linearised.outputs[doubled], linearised.jacobian[doubled]), target[doubled]
    )
    weights = torch.ones(20, dtype=torch.float64)
    weights[3] = 2
    once = space(linearised, target, weights)
    effects = [
        s.effects(s.output_gradients(linearised, target), 0.1)[:, :20] * len(s.loss_gradients)
        for s in (once, twice)
    ]
    effects[1][:, 3] *= 2
    # One mean is over 20 rows with total weight 21, the other over 21 rows.
    torch.testing.assert_close(effects[0][:, :3], effects[1][:, :3] * 20 / 21, rtol=0.01, atol=0.01)


def test_effects_match_leaving_one_row_out() -> None:
    rows, judged = drawn(120, 2), drawn(10, 2, seed=1)
    model = fitted(WEAK, rows, rows)
    [view], [other] = views_of(model, rows.inputs), views_of(model, judged.inputs)
    directions = space(linearise(view, "all parameters"), torch.from_numpy(rows.target))
    gradients = directions.output_gradients(
        linearise(other, "all parameters"), torch.from_numpy(judged.target)
    )
    effects = directions.effects(gradients, 1e-4).numpy()
    whole = predicted_quantity(model.outputs(judged.inputs), judged.target)
    for left_out in range(0, 120, 12):
        rest = rows.take(np.delete(np.arange(120), left_out))
        without = predicted_quantity(fitted(WEAK, rest, rest).outputs(judged.inputs), judged.target)
        if np.abs(whole - without).max() > 0.02:
            assert np.corrcoef(effects[:, left_out], whole - without)[0, 1] > 0.98


def test_effects_of_a_linear_model_equal_dattri() -> None:
    """For a linear model Gauss-Newton is Newton; dattri explains the loss, we the log-odds."""
    # Whose import takes 3 s of CPU, in each process that collects tests.
    from dattri.algorithm.influence_function import IFAttributorExplicit
    from dattri.task import AttributionTask

    rows, judged = drawn(150, 2), drawn(8, 2, seed=1)
    model = fitted(WEAK, rows, rows)
    [view], [other] = views_of(model, rows.inputs), views_of(model, judged.inputs)
    linearised = linearise(other, "all parameters")
    directions = space(linearise(view, "all parameters"), torch.from_numpy(rows.target))
    classes = torch.from_numpy(judged.target)
    effects = directions.effects(directions.output_gradients(linearised, classes), 1e-6)
    wrong = 1 - linearised.outputs.softmax(1).gather(1, classes[:, None])
    ours = effects * wrong * len(rows)

    def loss(params: Any, data: Any) -> torch.Tensor:
        points, target = data
        outputs = functional_call(view.module, params, (points.reshape(-1, 3),))
        return torch.nn.functional.cross_entropy(outputs, target.reshape(-1).long())

    task = AttributionTask(loss_func=loss, model=view.module, checkpoints=view.module.state_dict())
    attributor = IFAttributorExplicit(task, regularization=1e-6)
    loaders = [
        DataLoader(
            TensorDataset(torch.from_numpy(r.inputs.numbers), torch.from_numpy(r.target)),
            batch_size=len(r),
        )
        for r in (rows, judged)
    ]
    attributor.cache(loaders[0])
    theirs = attributor.attribute(*loaders).detach().T
    torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02 * float(theirs.abs().max()))


def test_direction_without_gradient_of_any_row_has_no_effect() -> None:
    linearised = Linearised(torch.zeros(2, 1), torch.tensor([[[1.0, 0.0]], [[2.0, 0.0]]]))
    directions: Space = space(linearised, torch.tensor([1.0, -1.0]))
    assert directions.curvature.shape == (1,)
    sideways = Linearised(torch.zeros(1, 1), torch.tensor([[[0.0, 1.0]]]))
    assert not directions.effects(directions.output_gradients(sideways, None), 0.1).any()


def test_a_row_beyond_the_limits_of_a_linear_model_is_judged_at_them() -> None:
    train, validation, _ = tumours()
    model = fitted(Linear(kind="linear"), train, validation)
    numbers = train.inputs.numbers
    lowest, highest = numbers.min(axis=0), numbers.max(axis=0)
    at_limits = np.stack([2 * highest - lowest, highest])
    far = np.stack([highest + 1_000, highest])
    no_codes = np.empty((2, 0), np.int64)
    [beyond], [near] = (views_of(model, Arrays(rows, no_codes)) for rows in (far, at_limits))
    torch.testing.assert_close(beyond.each[0], near.each[0])
    assert (beyond.each[0] < 1_000).all()
