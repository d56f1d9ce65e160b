"""How many rows a network evaluates at once: so many that its largest layer fits into memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from factory_assets.ml.models.base import Shape
from factory_assets.ml.models.networks.lightning import batches, trainer
from factory_assets.ml.models.networks.lightning.batches import ROWS_PER_BATCH, evaluated_at_once
from factory_assets.ml.models.networks.lightning.module import NetworkModule
from factory_assets.ml.models.networks.modules.cnn import CnnModule
from factory_assets.ml.models.networks.modules.mlp import MlpModule
from factory_assets.ml.models.networks.modules.tabm import TabmModule
from factory_assets.spec.models import Cnn
from tests.factory_assets.ml.models.cases import KINDS, rows
from tests.factory_assets.ml.models.test_kinds import fitted

pytestmark = pytest.mark.slow


def _mlp() -> NetworkModule:
    return MlpModule(5, [3], 2, hidden=[40, 90], dropout=0.0, activation="relu")


def _tabm() -> NetworkModule:
    settings: dict[str, Any] = {"members": 4, "dropout": 0.0, "bins": 6, "embedding": 3}
    return TabmModule(5, [3], 2, hidden=[40, 90], **settings)


def _cnn() -> NetworkModule:
    spec = Cnn(kind="cnn", image="pixels", hidden=(4, 24, 32))
    shape = Shape(
        task="binary",
        numbers=5 + 16 * 12,
        cardinalities=(3,),
        outputs=2,
        window=None,
        picture=(16, 12, 1),
        scales=(),
    )
    return CnnModule(shape, spec)


@pytest.mark.parametrize("make", [_mlp, _tabm, _cnn])
def test_the_values_of_the_largest_layer_are_known(make: Any) -> None:
    module, seen = make().eval(), list[int]()

    def look(_: nn.Module, __: Any, output: Tensor) -> None:
        seen.append(output.numel())

    for layer in module.modules():
        layer.register_forward_hook(look)
    numbers = torch.rand(7, 5 + (16 * 12 if make is _cnn else 0))
    module(numbers, torch.zeros((7, 1), dtype=torch.int64))
    assert max(seen) == 7 * module.values_per_row


def test_a_training_validates_few_rows_at_once_and_reuses_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validated, reusing, forward = list[int](), False, MlpModule.forward

    @contextmanager
    def noted() -> Iterator[None]:
        nonlocal reusing
        reusing = True
        yield
        reusing = False

    def counted(module: MlpModule, numbers: Tensor, codes: Tensor) -> Tensor:
        if reusing and not module.training:
            validated.append(len(numbers))
        return forward(module, numbers, codes)

    monkeypatch.setattr(trainer, "reused_memory", noted)
    monkeypatch.setattr(MlpModule, "forward", counted)
    # The hidden layer of 16 units is the largest.
    monkeypatch.setattr(batches, "LAYER_VALUES", 40 * 16)
    fitted(tmp_path, {**KINDS["mlp"], "epochs": 1})
    assert validated == [40] * 5


def test_few_rows_are_evaluated_at_once_if_a_layer_is_large() -> None:
    assert evaluated_at_once(1) == evaluated_at_once(64) == ROWS_PER_BATCH
    assert evaluated_at_once(128) == ROWS_PER_BATCH / 2
    assert evaluated_at_once(1 << 40) == 1


@pytest.mark.parametrize("more", [{}, {"ensemble": 2}])
def test_outputs_do_not_depend_on_how_many_rows_are_evaluated_at_once(
    more: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = fitted(tmp_path, {**KINDS["mlp"], "epochs": 1, **more}).trained
    table = rows(50, 5)
    whole, sizes = trained.outputs(table), list[int]()
    module: Any = trained.model.network  # type: ignore[attr-defined]
    module.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    monkeypatch.setattr(batches, "LAYER_VALUES", 20 * module.values_per_row)
    np.testing.assert_allclose(trained.outputs(table), whole, rtol=1e-5)
    assert sizes == [20, 20, 10]
