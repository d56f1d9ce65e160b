"""Our dropout is as torch's: the same share left out, the same mean, nothing when it serves."""

import pytest
import torch

from factory_assets.ml.models.networks.modules.mlp import Dropout


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_is_left_out_and_the_mean_stays(share: float) -> None:
    torch.manual_seed(1)
    numbers = torch.full((1003, 97), 2.0, requires_grad=True)
    passed = Dropout(share)(numbers)
    count = numbers.numel()
    assert float((passed == 0).sum()) == pytest.approx(share * count, abs=5 * (count / 4) ** 0.5)
    kept = passed[passed != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 2 / (1 - share)), rtol=1e-3, atol=0)
    passed.sum().backward()
    assert numbers.grad is not None
    # What is left out learns nothing, what is kept as much more.
    torch.testing.assert_close(numbers.grad, passed.detach() / 2)
    by_column = (passed == 0).double().mean(dim=0)
    assert float((by_column - share).abs().max()) < 0.1


def test_the_same_seed_leaves_out_the_same() -> None:
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(Dropout(0.3)(torch.ones(50, 3)))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_nothing_is_left_out_when_it_serves_or_of_none() -> None:
    numbers = torch.ones(10, 4)
    assert Dropout(0.5).eval()(numbers) is numbers
    assert Dropout(0.0)(numbers) is numbers
