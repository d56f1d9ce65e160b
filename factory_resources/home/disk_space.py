"""Free space on the disk of a home: how much is to be left, and when it will be full.

What is free is noted at most once an hour, by whoever starts to store something. That is the growth
of everything on this disk, which is what fills it. What to do about it is decided elsewhere.
"""

import json
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from factory_resources.errors import StorageError
from factory_resources.home.home import Home

KEEP_VARIABLE = "FACTORY_DISK_KEEP"
"""Environment variable with what to leave free, before what `factory.yaml` declares."""

SIZE = re.compile(r"(\d{1,6})(MB|GB|TB)|0")
"""An amount of space as people write it."""

_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}

_MOST, _SHARE = 2 * 10**9, 50
"""Unless declared otherwise, a fiftieth of the disk is left free, and not more than 2 GB."""

_EVERY, _KNOWN = timedelta(hours=1), timedelta(days=14)
"""How often free space is noted, and for how long."""

_ENOUGH = timedelta(days=1)
"""Over how much time growth is measured at least."""

Sample = tuple[str, int]
"""When (UTC, ISO 8601), and how many bytes were free."""


@dataclass(frozen=True)
class DiskSpace:
    """The disk of a home."""

    total: int
    """Bytes."""
    free: int
    """Bytes that this user may still write."""

    def floor(self, declared: str | None) -> int:
        """Return how many bytes are to be left free.

        Args:
            declared: an amount such as `2GB`; None for the default.

        Raises:
            StorageError: it is not an amount.
        """
        return min(_MOST, self.total // _SHARE) if declared is None else bytes_of(declared)


def bytes_of(text: str) -> int:
    """Return the bytes of an amount such as `2GB`.

    Raises:
        StorageError: the text is not an amount.
    """
    match = SIZE.fullmatch(text)
    if not match:
        raise StorageError(
            f"{text!r} is not an amount of space",
            where=KEEP_VARIABLE,
            remedy="write a number and MB, GB or TB, as in 2GB, or 0",
        )
    return int(match[1]) * _UNITS[match[2]] if match[1] else 0


def size_text(count: float) -> str:
    """Return bytes as people read them, such as `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def is_read_only(home: Home) -> bool:
    """Whether nothing can be written there: the system closes a disk that fails so."""
    return home.path.exists() and bool(os.statvfs(home.path).f_flag & os.ST_RDONLY)


def has_no_inode(home: Home) -> bool:
    """Whether there is room for no further file, however much of the disk is free."""
    disk = os.statvfs(home.path) if home.path.exists() else None
    # Some file systems have as many as they need, and count none.
    return disk is not None and disk.f_files > 0 and not disk.f_favail


def disk_space(home: Home) -> DiskSpace:
    """Return the space on the disk on which the home is, or will be."""
    place = home.path
    while not place.exists() and place != place.parent:
        place = place.parent
    usage = shutil.disk_usage(place)
    return DiskSpace(usage.total, usage.free)


def note_space(home: Home, now: datetime) -> None:
    """Note what is free now, unless it was noted within the hour; a full disk notes nothing."""
    kept = _recent(samples(home), now)
    if kept and now - datetime.fromisoformat(kept[-1][0]) < _EVERY:
        return
    kept.append((now.astimezone(UTC).isoformat(timespec="seconds"), disk_space(home).free))
    with suppress(StorageError):
        home.write_atomic(_file(home), json.dumps(kept).encode())


def samples(home: Home) -> list[Sample]:
    """Return what was noted, the oldest first; nothing if it was damaged."""
    try:
        return [(_utc(time), int(free)) for time, free in json.loads(_file(home).read_bytes())]
    except (OSError, ValueError, TypeError):
        return []


def _utc(time: str) -> str:
    return datetime.fromisoformat(time).astimezone(UTC).isoformat(timespec="seconds")


def growth(known: Sequence[Sample], free: int, now: datetime) -> float | None:
    """Return how many bytes a day the disk fills, negative if it empties; None if nobody knows.

    Args:
        free: what is free now.
    """
    recent = _recent(known, now)
    if not recent:
        return None
    age = now - datetime.fromisoformat(recent[0][0])
    return (recent[0][1] - free) / (age / timedelta(days=1)) if age >= _ENOUGH else None


def _recent(known: Sequence[Sample], now: datetime) -> list[Sample]:
    """Return the samples that count: of a clock that was ahead, none stays."""
    ages = ((now - datetime.fromisoformat(sample[0]), sample) for sample in known)
    return [sample for age, sample in ages if timedelta() <= age <= _KNOWN]


def _file(home: Home) -> Path:
    return home.path / "disk.json"
