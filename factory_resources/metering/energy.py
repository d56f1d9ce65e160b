"""The energy counters of this machine: RAPL for processors, NVML for NVIDIA GPUs.

`meter` computes the cost of a computation from them. CodeCarbon (MIT) was considered: it adds
sixteen packages, two of them for logging in to its service, samples from a thread where a counter
needs none, and looks up its country over the network by default.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Protocol

RAPL = Path("/sys/class/powercap")

DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""If none exists there is no NVIDIA driver, and importing its library (.03 s) is skipped."""

WRAPS = 60.0
"""Seconds between two readings of RAPL: at 1 kW the smallest counter (65 kJ) lasts that long."""

SAMPLES = 1.0
"""Seconds between two readings of a GPU that reports only its current power."""


class Counter(Protocol):
    """The energy that one device has used since the counter was opened."""

    every: float | None
    """Seconds after which it must be read again; None if the device counts by itself."""

    def joules(self) -> float:
        """Return the energy; raise OSError or ValueError if it can no longer be read."""


@dataclass
class Zone:
    """One RAPL counter; it restarts at zero when it is full."""

    folder: Path
    every: float | None = WRAPS
    _range: float = 0.0
    _last: float = 0.0
    _total: float = 0.0

    def __post_init__(self) -> None:
        self._range = self._read("max_energy_range_uj")
        self._last = self._read("energy_uj")

    def joules(self) -> float:
        now = self._read("energy_uj")
        self._total += now - self._last if now >= self._last else now - self._last + self._range
        self._last = now
        return self._total

    def _read(self, name: str) -> float:
        return int((self.folder / name).read_text()) / 1e6


def zones(root: Path = RAPL) -> list[Counter]:
    """Return the counters of all processors and, if they exist, of their memory.

    If one cannot be read, return none: the sum would miss a part of the energy. A zone named `psys`
    includes the others, so it is left out.
    """
    counters: list[Counter] = []
    for folder in sorted(root.glob("intel-rapl:*")):
        try:
            name = (folder / "name").read_text().strip()
            if name.startswith("package") or name == "dram":
                counters.append(Zone(folder))
        except (OSError, ValueError):
            return []
    return counters


@dataclass
class Gpu:
    """One NVIDIA device; other processes that use it are included."""

    nvml: Any
    handle: Any
    every: float | None = None
    _before: float = 0.0
    _watts: float = 0.0
    _at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        try:
            self._before = self._energy()
        except self.nvml.NVMLError:
            # GPUs before Volta have no energy counter.
            self.every = SAMPLES
            self._watts = self._power()

    def joules(self) -> float:
        try:
            if self.every is None:
                return self._energy() - self._before
            watts, now = self._power(), time.monotonic()
        except self.nvml.NVMLError as error:
            raise OSError(f"NVML: {error}") from error
        self._before += (self._watts + watts) / 2 * (now - self._at)
        self._watts, self._at = watts, now
        return self._before

    def _energy(self) -> float:
        return float(self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) / 1e3

    def _power(self) -> float:
        return float(self.nvml.nvmlDeviceGetPowerUsage(self.handle)) / 1e3


@dataclass(frozen=True)
class Gpus:
    """The devices that this process may use."""

    counters: Sequence[Counter] = ()
    uncounted: str = ""
    """Why an existing GPU is not counted; empty if all are."""


@contextmanager
def gpus() -> Iterator[Gpus]:
    """Open the GPUs in CUDA_VISIBLE_DEVICES, by default all."""
    if not any(driver.exists() for driver in DRIVERS):
        yield Gpus()
    elif importlib.util.find_spec("pynvml") is None:
        yield Gpus(uncounted="nvidia-ml-py is not installed")
    else:
        import pynvml

        with devices(pynvml, os.environ.get("CUDA_VISIBLE_DEVICES")) as visible:
            yield visible


@contextmanager
def devices(nvml: Any, visible: str | None) -> Iterator[Gpus]:
    """Open the counters of the visible devices.

    Args:
        nvml: the NVML library.
        visible: as in CUDA_VISIBLE_DEVICES: numbers, UUIDs or nothing; None for all devices.
    """
    with ExitStack() as opened:
        try:
            nvml.nvmlInit()
            opened.callback(_shut_down, nvml)
            result = Gpus([Gpu(nvml, handle) for handle in _handles(nvml, visible)])
        except nvml.NVMLError as error:
            result = Gpus(uncounted=f"NVML: {error}")
        yield result


def gpu_names(nvml: Any, visible: str | None) -> list[str]:
    """Return the UUIDs of the visible devices, as CUDA_VISIBLE_DEVICES takes them."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return []
    try:
        uuids = [nvml.nvmlDeviceGetUUID(handle) for handle in _handles(nvml, visible)]
    except nvml.NVMLError:
        return []
    finally:
        _shut_down(nvml)
    return [one.decode() if isinstance(one, bytes) else one for one in uuids]


def _handles(nvml: Any, visible: str | None) -> list[Any]:
    count = nvml.nvmlDeviceGetCount()
    if visible is None:
        return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
    handles = []
    for name in filter(None, map(str.strip, visible.split(","))):
        if not name.isdecimal() and not name.startswith(("GPU-", "MIG-")):
            # CUDA also ignores everything after an invalid name.
            break
        if name.isdecimal() and int(name) >= count:
            break
        handles.append(
            nvml.nvmlDeviceGetHandleByIndex(int(name))
            if name.isdecimal()
            else nvml.nvmlDeviceGetHandleByUUID(name)
        )
    return handles


def _shut_down(nvml: Any) -> None:
    with suppress(nvml.NVMLError):
        nvml.nvmlShutdown()


class Watch:
    """Counters that are read on request and, if they need it, regularly from a thread."""

    def __init__(self, counters: Sequence[Counter]) -> None:
        self._counters, self._lock, self._done = counters, Lock(), Event()
        self.fault = ""
        """Why a counter could no longer be read; empty if all can."""
        pauses = [counter.every for counter in counters if counter.every]
        self._thread: Thread | None = None
        if pauses:
            self._thread = Thread(target=self._poll, args=(min(pauses),), daemon=True)
            self._thread.start()

    def joules(self) -> float | None:
        """Return the sum since they were opened; None if there are none, or one has failed."""
        with self._lock:
            try:
                return sum(counter.joules() for counter in self._counters) or None
            except (OSError, ValueError) as error:
                self._counters, self.fault = (), str(error)
                return None

    def close(self) -> None:
        """Stop the thread."""
        self._done.set()
        if self._thread:
            self._thread.join()

    def _poll(self, pause: float) -> None:
        while not self._done.wait(pause):
            self.joules()
