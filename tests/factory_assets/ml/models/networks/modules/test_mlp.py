"""`Dropout` behaves like torch's: same share dropped, same mean, inactive in eval mode."""

import pytest
import torch

from factory_assets.ml.models.networks.modules.mlp import Dropout


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_dropout_zeroes_the_share_and_preserves_the_mean(share: float) -> None:
    torch.manual_seed(1)
    numbers = torch.full((1003, 97), 2.0, requires_grad=True)
    outputs = Dropout(share)(numbers)
    count = numbers.numel()
    assert float((outputs == 0).sum()) == pytest.approx(share * count, abs=5 * (count / 4) ** 0.5)
    kept = outputs[outputs != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 2 / (1 - share)), rtol=1e-3, atol=0)
    outputs.sum().backward()
    assert numbers.grad is not None
    # Dropped elements get no gradient, kept ones a gradient scaled up like their value.
    torch.testing.assert_close(numbers.grad, outputs.detach() / 2)
    by_column = (outputs == 0).double().mean(dim=0)
    assert float((by_column - share).abs().max()) < 0.1


def test_dropout_is_the_same_for_the_same_seed() -> None:
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(Dropout(0.3)(torch.ones(50, 3)))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_dropout_is_inactive_in_eval_mode_and_for_a_share_of_zero() -> None:
    numbers = torch.ones(10, 4)
    assert Dropout(0.5).eval()(numbers) is numbers
    assert Dropout(0.0)(numbers) is numbers
