"""The energy counters of this machine: RAPL of the processors, NVML of NVIDIA GPUs.

What a computation spent is `meter`'s business. CodeCarbon (MIT) was weighed: it adds sixteen
packages, two of them for logging in to its service, samples from a thread where a counter needs
none, and looks its country up over the network unless told otherwise.
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
"""One of them is there where NVIDIA's driver is; importing its library takes .03 s otherwise."""

WRAPS = 60.0
"""Seconds between two looks at RAPL: at 1 kW the smallest counter, of 65 kJ, lasts as long."""

SAMPLES = 1.0
"""Seconds between two looks at a GPU that tells only its power of the moment."""


class Counter(Protocol):
    """What one device has used since it was opened."""

    every: float | None
    """Seconds after which it must be looked at again; None where it keeps count itself."""

    def joules(self) -> float:
        """Raises OSError or ValueError when it cannot be read any more."""


@dataclass
class Zone:
    """One RAPL counter; it begins again at zero when it is full."""

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
    """The counters of all processors and, where there are such, of their memory; none where one
    cannot be read: a part of the energy is not the energy.

    A zone named `psys` holds the others, so it is left out.
    """
    found: list[Counter] = []
    for folder in sorted(root.glob("intel-rapl:*")):
        try:
            name = (folder / "name").read_text().strip()
            if name.startswith("package") or name == "dram":
                found.append(Zone(folder))
        except (OSError, ValueError):
            return []
    return found


@dataclass
class Gpu:
    """One NVIDIA device, whoever uses it."""

    nvml: Any
    handle: Any
    every: float | None = None
    _before: float = 0.0
    _watts: float = 0.0
    _at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        try:
            self._before = self._counted()
        except self.nvml.NVMLError:
            # Before Volta there is no counter.
            self.every = SAMPLES
            self._watts = self._power()

    def joules(self) -> float:
        try:
            if self.every is None:
                return self._counted() - self._before
            watts, now = self._power(), time.monotonic()
        except self.nvml.NVMLError as error:
            raise OSError(f"NVML: {error}") from error
        self._before += (self._watts + watts) / 2 * (now - self._at)
        self._watts, self._at = watts, now
        return self._before

    def _counted(self) -> float:
        return float(self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) / 1e3

    def _power(self) -> float:
        return float(self.nvml.nvmlDeviceGetPowerUsage(self.handle)) / 1e3


@dataclass(frozen=True)
class Gpus:
    """The devices that this process may use."""

    counters: Sequence[Counter] = ()
    uncounted: str = ""
    """Why a GPU that is there is not counted."""


@contextmanager
def gpus() -> Iterator[Gpus]:
    """Those of CUDA_VISIBLE_DEVICES, else all."""
    if not any(driver.exists() for driver in DRIVERS):
        yield Gpus()
    elif importlib.util.find_spec("pynvml") is None:
        yield Gpus(uncounted="nvidia-ml-py is not installed")
    else:
        import pynvml

        with devices(pynvml, os.environ.get("CUDA_VISIBLE_DEVICES")) as found:
            yield found


@contextmanager
def devices(nvml: Any, visible: str | None) -> Iterator[Gpus]:
    """The counters of the visible devices.

    Args:
        nvml: the library.
        visible: as in CUDA_VISIBLE_DEVICES: numbers, UUIDs or nothing; None for all.
    """
    with ExitStack() as opened:
        try:
            nvml.nvmlInit()
            opened.callback(_shut, nvml)
            found = Gpus([Gpu(nvml, handle) for handle in _handles(nvml, visible)])
        except nvml.NVMLError as error:
            found = Gpus(uncounted=f"NVML: {error}")
        yield found


def _handles(nvml: Any, visible: str | None) -> list[Any]:
    count = nvml.nvmlDeviceGetCount()
    if visible is None:
        return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
    handles = []
    for name in filter(None, map(str.strip, visible.split(","))):
        if not name.isdecimal() and not name.startswith(("GPU-", "MIG-")):
            # As CUDA does: what comes after a name that is none is not seen.
            break
        if name.isdecimal() and int(name) >= count:
            break
        handles.append(
            nvml.nvmlDeviceGetHandleByIndex(int(name))
            if name.isdecimal()
            else nvml.nvmlDeviceGetHandleByUUID(name)
        )
    return handles


def _shut(nvml: Any) -> None:
    with suppress(nvml.NVMLError):
        nvml.nvmlShutdown()


class Watch:
    """Counters that are read from here and, where they need it, from a thread of its own."""

    def __init__(self, counters: Sequence[Counter]) -> None:
        self._counters, self._lock, self._done = counters, Lock(), Event()
        pauses = [counter.every for counter in counters if counter.every]
        self._thread: Thread | None = None
        if pauses:
            self._thread = Thread(target=self._look, args=(min(pauses),), daemon=True)
            self._thread.start()

    def joules(self) -> float | None:
        """Of all together since they were opened; None where there are none, or one has failed."""
        with self._lock:
            try:
                return sum(counter.joules() for counter in self._counters) or None
            except (OSError, ValueError):
                self._counters = ()
                return None

    def close(self) -> None:
        """End the thread."""
        self._done.set()
        if self._thread:
            self._thread.join()

    def _look(self, pause: float) -> None:
        while not self._done.wait(pause):
            self.joules()
