"""What attempts at a computation cost that did not end, so that the one that ends counts them too.

A file has the sum while an attempt goes on. How a cost is measured belongs in `meter`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from pydantic import TypeAdapter, ValidationError

from factory_resources.durability import replace_file
from factory_resources.metering.meter import Cost, Meter

STORE_INTERVAL = 10.0
"""Seconds between two writings: what a kill takes away at most."""


@contextmanager
def interrupted_attempts(meter: Meter, file: Path) -> Iterator[Cost | None]:
    """Yield what earlier attempts have cost, and keep the sum with this one in the file meanwhile.

    Whoever stores the result removes the file. If it cannot be written, the computation goes on.

    Args:
        meter: of this attempt, open.
        file: of this computation alone; missing at the first attempt.
    """
    before, ended = _read(file), Event()
    keeper = Thread(target=_keep, args=(meter, before, file, ended), daemon=True)
    keeper.start()
    try:
        yield before
    finally:
        ended.set()
        keeper.join()


def _keep(meter: Meter, before: Cost | None, file: Path, ended: Event) -> None:
    while not ended.wait(STORE_INTERVAL):
        content = TypeAdapter(Cost).dump_json(meter.read().after(before))
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(file, content, 0o600)


def _read(file: Path) -> Cost | None:
    """Read the sum; None if the file is missing, or was damaged by a power cut."""
    try:
        return TypeAdapter(Cost).validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
