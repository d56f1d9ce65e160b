"""The cost of a block: CPU time with that of its child processes, energy, carbon as declared."""

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from factory_resources.errors import SettingError
from factory_resources.metering.energy import Gpus, zones
from factory_resources.metering.meter import Meter, Rates, cpu_seconds

BURN = "import time\nwhile time.process_time() < 0.45: pass\n"
"""Burns a little more than is asked for below, since the system counts a live process in ticks."""


def test_cpu_time_of_finished_children_counts() -> None:
    with Meter(Rates()) as meter:
        subprocess.run([sys.executable, "-c", BURN], check=True)
        assert meter.read().cpu_seconds >= 0.4


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="there is no /proc/self/task")
def test_cpu_time_of_running_children_and_grandchildren_counts() -> None:
    waits = f"{BURN}print(1, flush=True)\ninput()"
    nested = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {waits!r}])"
    with Meter(Rates()) as meter:
        child = subprocess.Popen(
            [sys.executable, "-c", nested], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout
        child.stdout.readline()
        alive = meter.read().cpu_seconds
        child.communicate(b"\n")
        ended = meter.read().cpu_seconds
    assert 0.4 <= alive <= ended + 0.02


def test_an_estimate_is_marked_and_uses_the_declared_rates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FACTORY_WATTS_PER_CORE", "3.6")
    monkeypatch.setenv("FACTORY_GRID_G_PER_KWH", "250")
    monkeypatch.setattr("factory_resources.metering.energy.zones", list)
    with Meter(Rates.from_env()) as meter:
        until = cpu_seconds() + 0.05
        while cpu_seconds() < until:
            pass
        cost = meter.read()
    assert cost.method.startswith("estimate: CPU time x 3.6 W")
    assert cost.cpu_seconds >= 0.05
    assert cost.wh >= cost.cpu_seconds * 3.6 / 3600
    assert cost.co2e == pytest.approx(cost.wh * 0.25)


@pytest.mark.parametrize(("sharing", "part"), [(1, ""), (4, " / 4")])
def test_computations_at_the_same_time_share_what_the_processor_used(
    sharing: int, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    for name, text in (("name", "package-0"), ("max_energy_range_uj", "100000000")):
        (zone / name).write_text(text)
    (zone / "energy_uj").write_text("1000000")
    monkeypatch.setattr("factory_resources.metering.meter.zones", lambda: zones(tmp_path))
    with Meter(Rates(), sharing=sharing) as meter:
        (zone / "next").write_text("73000000")
        (zone / "next").replace(zone / "energy_uj")
        cost = meter.read()
    assert cost.wh == pytest.approx(72 / 3600 / sharing)
    assert cost.method.split("; ")[0] == f"RAPL, whole processor{part}"


def test_a_gpu_that_is_lost_meanwhile_is_not_counted_and_the_cost_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Lost:
        every: float | None = None

        def joules(self) -> float:
            raise OSError("NVML: GPU is lost")

    monkeypatch.setattr(
        "factory_resources.metering.meter.gpus", lambda: nullcontext(Gpus([Lost()]))
    )
    with Meter(Rates()) as meter:
        for _ in range(2):
            assert meter.read().method.endswith("; GPU not counted (NVML: GPU is lost)")


@pytest.mark.parametrize("text", ["dirty", "-1", "nan", "inf", "380 g"])
@pytest.mark.parametrize("variable", ["FACTORY_GRID_G_PER_KWH", "FACTORY_WATTS_PER_CORE"])
def test_a_malformed_setting_is_reported_in_one_line(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingError) as caught:
        Rates.from_env()
    assert str(caught.value) == (
        f"{variable} is {text!r}; set it to a number such as 380, or leave it out"
    )
    assert caught.value.exit_code == 2
