"""Work on another machine: by its speed, its cores, its power, its carbon and its price."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from factory_assets.audit.cost.growth import CostRange
from factory_assets.audit.cost.machine_costs import Work, on_machine, on_this_machine
from factory_assets.declarations.machines import load_machines
from factory_assets.spec.machines import Machine
from factory_resources.errors import DeclarationError

RENTED: dict[str, Any] = {
    "cores": 8,
    "speed": 2.0,
    "idle_watts": 80.0,
    "load_watts": 240.0,
    "grams_per_kwh": 50.0,
    "price_per_hour": 3.6,
    "source": "the maker",
}


def exactly(value: float) -> CostRange:
    return CostRange(value, value, value)


WORK = Work(exactly(100), exactly(200), CostRange(500, 400, 600), exactly(0.01))
"""Two cores for 100 seconds."""


def rented(**changed: Any) -> Machine:
    return Machine.model_validate({**RENTED, **changed})


def test_a_faster_machine_takes_less_time_and_uses_its_own_power() -> None:
    found = on_machine(WORK, rented())
    assert found.work.seconds == exactly(50)
    assert found.work.cpu_seconds == exactly(100)
    assert found.work.megabytes == WORK.megabytes
    # Idle for 50 s, and 20 W more for each of 100 core seconds.
    joules = 80 * 50 + 20 * 100
    assert found.work.kwh
    assert found.work.kwh.value == pytest.approx(joules / 3_600_000)
    assert found.co2e_g
    assert found.co2e_g.value == pytest.approx(joules / 3_600_000 * 50)
    assert found.money
    assert found.money.value == pytest.approx(50 * 3.6 / 3600)


def test_more_cores_make_nothing_faster_and_fewer_make_it_slower() -> None:
    assert on_machine(WORK, rented(cores=64)).work.seconds == exactly(50)
    assert on_machine(WORK, rented(cores=1)).work.seconds == exactly(100)


def test_a_range_stays_a_range() -> None:
    work = Work(CostRange(100, 50, 300), CostRange(100, 50, 300))
    found = on_machine(work, rented(price_per_hour=None))
    assert found.work.seconds == CostRange(50, 25, 150)
    assert found.work.kwh
    assert found.work.kwh.low < found.work.kwh.value < found.work.kwh.high
    assert found.money is None


def test_what_a_gpu_did_is_not_told_of_another_machine() -> None:
    work = Work(WORK.seconds, WORK.cpu_seconds, WORK.megabytes, WORK.kwh, on_gpu=True)
    found = on_machine(work, rented())
    assert (found.work.seconds, found.work.kwh, found.co2e_g, found.money) == (None,) * 4
    assert on_this_machine(work, 100).co2e_g == exactly(1.0)


def test_work_that_is_repeated_takes_no_more_memory() -> None:
    found = WORK.times(10)
    assert (found.seconds, found.kwh) == (exactly(1_000), exactly(0.1))
    assert found.megabytes == WORK.megabytes


@pytest.mark.parametrize(
    ("changed", "line", "message"),
    [
        ({"cores": 0}, 2, "rented.cores: 0 is not valid"),
        ({"speed": -1.0}, 3, "rented.speed: -1.0 is not valid"),
        ({"load_watts": 10.0}, 1, "load_watts is below idle_watts"),
        ({"currency": "euro"}, 9, "'euro' is not valid"),
        ({"watts": 3}, 9, "unknown key 'watts'"),
    ],
)
def test_a_mistake_has_its_line(
    tmp_path: Path, changed: dict[str, Any], line: int, message: str
) -> None:
    file = tmp_path / "machines.yaml"
    file.write_text(yaml.safe_dump({"rented": {**RENTED, **changed}}, sort_keys=False))
    with pytest.raises(DeclarationError, match=message) as caught:
        load_machines(file)
    assert caught.value.where in (f"{file}:{line}", f"{file}:5")


def test_the_machines_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "machines.yaml"
    file.write_text(yaml.safe_dump({"b": RENTED, "a": RENTED}, sort_keys=False))
    assert [*load_machines(file)] == ["b", "a"]
    file.write_text("a: 3\na: 4\n")
    with pytest.raises(DeclarationError, match="repeats line 1"):
        load_machines(file)
