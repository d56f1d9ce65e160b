"""Counters that restart, vanish, or report only current power; and which GPUs are counted."""

from pathlib import Path

import pytest

from factory_resources.metering.energy import Gpu, Gpus, Watch, devices, zones
from tests.waiting import wait_until


def _zone(root: Path, folder: str, name: str, micro: int, full: int = 65_532_610_987) -> Path:
    zone = root / folder
    zone.mkdir(parents=True)
    (zone / "name").write_text(f"{name}\n")
    # A counter is never empty, so that a thread that reads it must not see an empty file.
    (zone / "written").write_text(f"{micro}\n")
    (zone / "written").replace(zone / "energy_uj")
    (zone / "max_energy_range_uj").write_text(f"{full}\n")
    return zone


def _set(zone: Path, micro: int) -> None:
    # A counter is never empty, so that a thread that reads it must not see an empty file.
    (zone / "written").write_text(f"{micro}\n")
    (zone / "written").replace(zone / "energy_uj")


def test_processors_and_memory_are_each_counted_once(tmp_path: Path) -> None:
    first = _zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    second = _zone(tmp_path, "intel-rapl:1", "package-1", 0)
    core = _zone(tmp_path, "intel-rapl:0:0", "core", 0)
    memory = _zone(tmp_path, "intel-rapl:0:1", "dram", 0)
    whole = _zone(tmp_path, "intel-rapl:2", "psys", 0)
    watch = Watch(zones(tmp_path))
    for zone, micro in ((first, 7_000_000), (second, 30_000_000), (memory, 400_000)):
        _set(zone, micro)
    for zone in (core, whole):
        _set(zone, 900_000_000)
    assert watch.joules() == pytest.approx(2 + 30 + 0.4)
    watch.close()


def test_a_counter_that_restarts_at_zero_is_continued(tmp_path: Path) -> None:
    zone = _zone(tmp_path, "intel-rapl:0", "package-0", 90_000_000, full=100_000_000)
    watch = Watch(zones(tmp_path))
    for micro, total in ((95_000_000, 5), (15_000_000, 25), (5_000_000, 115)):
        _set(zone, micro)
        assert watch.joules() == pytest.approx(total)
    watch.close()


def test_the_thread_notices_restarts_between_two_readings(tmp_path: Path) -> None:
    zone = _zone(tmp_path, "intel-rapl:0", "package-0", 10_000_000, full=100_000_000)
    [counter] = zones(tmp_path)
    counter.every = 0.01
    watch = Watch([counter])
    for micro in (60_000_000, 5_000_000, 20_000_000):
        _set(zone, micro)
        wait_until(lambda micro=micro: counter._last == micro / 1e6)  # type: ignore[attr-defined,misc]
    watch.close()
    assert watch.joules() == pytest.approx(110)


def test_there_are_no_counters_if_one_is_unreadable(tmp_path: Path) -> None:
    assert zones(tmp_path / "none") == []
    _zone(tmp_path, "intel-rapl:0", "package-0", 0)
    broken = _zone(tmp_path, "intel-rapl:1", "package-1", 0)
    (broken / "energy_uj").unlink()
    # No user can read a directory, not even the superuser.
    (broken / "energy_uj").mkdir()
    assert zones(tmp_path) == []
    assert Watch([]).joules() is None


def test_there_is_no_sum_after_a_counter_vanishes(tmp_path: Path) -> None:
    first = _zone(tmp_path, "intel-rapl:0", "package-0", 0)
    _set(_zone(tmp_path, "intel-rapl:1", "package-1", 0), 0)
    watch = Watch(zones(tmp_path))
    (first / "energy_uj").unlink()
    assert watch.joules() is None
    watch.close()


class NvmlError(Exception):
    pass


class Library:
    """Replaces NVML, since test machines lack its driver."""

    NVMLError = NvmlError

    def __init__(self, devices: int, counter: bool = True, driver: bool = True) -> None:
        self.energy = dict.fromkeys(range(devices), 1000.0)
        self.power = dict.fromkeys(range(devices), 100_000.0)
        self.open = 0
        self._counter, self._driver = counter, driver
        self.nvmlInit, self.nvmlShutdown = self._init, self._shutdown
        self.nvmlDeviceGetCount = self.energy.__len__
        self.nvmlDeviceGetHandleByIndex = int
        self.nvmlDeviceGetHandleByUUID = lambda uuid: int(uuid[-1])
        self.nvmlDeviceGetTotalEnergyConsumption = self._energy
        self.nvmlDeviceGetPowerUsage = self.power.__getitem__

    def _init(self) -> None:
        if not self._driver:
            raise NvmlError("Driver Not Loaded")
        self.open += 1

    def _shutdown(self) -> None:
        self.open -= 1

    def _energy(self, handle: int) -> float:
        if not self._counter:
            raise NvmlError("Not Supported")
        return self.energy[handle]


@pytest.mark.parametrize(
    ("visible", "counted"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("1", [1]),
        ("2, 0", [2, 0]),
        ("GPU-0000-2", [2]),
        ("-1", []),
        ("1,9,0", [1]),
    ],
)
def test_the_visible_gpus_are_counted(visible: str | None, counted: list[int]) -> None:
    nvml = Library(3)
    with devices(nvml, visible) as result:
        handles = [counter.handle for counter in result.counters if isinstance(counter, Gpu)]
        assert handles == counted
        assert all(counter.every is None for counter in result.counters)
        for handle in nvml.energy:
            nvml.energy[handle] += 2000 * 10**handle
        assert Watch(result.counters).joules() == (sum(2.0 * 10**h for h in counted) or None)
    assert nvml.open == 0


def test_a_gpu_without_a_counter_is_sampled() -> None:
    nvml = Library(1, counter=False)
    with devices(nvml, None) as result:
        [gpu] = result.counters
        assert isinstance(gpu, Gpu)
        assert gpu.every == 1.0
        gpu._at -= 10
        nvml.power[0] = 300_000.0
        assert gpu.joules() == pytest.approx(10 * 200, rel=0.01)


def test_a_driver_that_is_not_loaded_is_the_reason_for_uncounted_gpus() -> None:
    with devices(Library(1, driver=False), None) as result:
        assert result == Gpus(uncounted="NVML: Driver Not Loaded")
