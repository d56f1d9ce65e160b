"""How the step size changes during a training."""

import pytest
import torch

from factory_assets.ml.models.networks.lightning.module import learning_rate_schedule
from factory_assets.spec import Mlp


def _rates(steps: int, **declared: object) -> list[float]:
    spec = Mlp.model_validate({"kind": "mlp", "learning_rate": 0.5, **declared})
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=spec.learning_rate)
    schedule = learning_rate_schedule(optimizer, spec, steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_a_trapezoidal_rate_rises_stays_and_falls() -> None:
    rates = _rates(1000)
    assert rates[0] == pytest.approx(0.5 / 20)
    assert rates[19:801] == [0.5] * 782
    assert rates[900] == pytest.approx(0.25)
    assert 0 < rates[-1] < 0.01
    assert rates[:20] == sorted(rates[:20])
    assert rates[800:] == sorted(rates[800:], reverse=True)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_few_steps_all_have_a_rate(steps: int) -> None:
    rates = _rates(steps)
    assert all(0 < rate <= 0.5 for rate in rates)


def test_one_cycle_reaches_its_peak_after_three_tenths() -> None:
    rates = _rates(1000, schedule="one_cycle")
    assert rates.index(max(rates)) == pytest.approx(300, abs=2)
    assert max(rates) == pytest.approx(0.5)
