"""The ids of predictions: UUIDs of version 7 (RFC 9562), which grow with time.

A request takes one id; its rows have the ids that follow. The record of a request is in `record`.

    48 bits  milliseconds since 1970
     4 bits  version
    12 bits  fraction of the millisecond
     2 bits  variant
    42 bits  random
    20 bits  number of the row in its request
"""

import re
import struct
import time
from datetime import UTC, date, datetime
from random import Random
from uuid import UUID

from factory_resources.errors import DataError, UnknownNameError

ROWS = 1_000_000
"""The most rows that one request may have."""

ID_BYTES = 16

_LAST_SECOND = 253_402_300_799
"""The last one of the year 9999."""

_ROW_BITS = 20
_ROW_MASK = (1 << _ROW_BITS) - 1
_VARIANT = 0b10 << 62
_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""The spelling in which clients get ids."""
_PLAIN = re.compile(r"[0-9A-Za-z:{}-]+")
"""What a UUID is written with; `UUID` would also take a line break or digits of other scripts."""
_pack = struct.Struct(">QQ").pack


class PredictionIds:
    """Gives out ids that strictly increase, also if the clock is set back."""

    def __init__(self) -> None:
        self._last = 0
        self._random = Random().getrandbits  # noqa: S311 - unique, not secret

    def take(self, rows: int = 1) -> bytes:
        """Return the id of a request, 16 bytes, which is also that of its first row.

        Raises:
            DataError: more than a million rows.
        """
        if rows > ROWS:
            raise DataError(
                f"a request of {rows:,} rows", remedy=f"send at most {ROWS:,} rows at once"
            )
        # In units of 1/4096 ms, so that the twelve bits behind the milliseconds are their fraction.
        now = time.time_ns() * 4096 // 1_000_000
        if now <= self._last:
            now = self._last + 1
        self._last = now
        return _pack(
            now >> 12 << 16 | 0x7000 | now & 0xFFF, _VARIANT | self._random(42) << _ROW_BITS
        )


def row_id(base: bytes, row: int) -> bytes:
    """Return the id of a row, counted from 0, of the request with this id."""
    return (int.from_bytes(base, "big") + row).to_bytes(ID_BYTES, "big")


def text(base: bytes, row: int = 0) -> str:
    """Return the id of a row of a request as a client sees it, such as `0199…-…`."""
    digits = row_id(base, row).hex()
    # A UUID object would take four times as long.
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def parse(written: str) -> bytes:
    """Return the id of a row, 16 bytes.

    Raises:
        UnknownNameError: it is not an id of a prediction.
    """
    if _CANONICAL.fullmatch(written):
        # A UUID object would take twice as long.
        return bytes.fromhex(written.replace("-", ""))
    try:
        found = UUID(written) if _PLAIN.fullmatch(written) else None
    except ValueError:
        found = None
    if found is None or found.version != 7:
        raise UnknownNameError(
            f"{written!r} is not the id of a prediction",
            remedy="give the id that came with the answer, a UUID of version 7",
        )
    return found.bytes


def request_of(row: bytes) -> tuple[bytes, int]:
    """Return the id of the request that a row belongs to, and the number of the row in it."""
    value = int.from_bytes(row, "big")
    return (value & ~_ROW_MASK).to_bytes(ID_BYTES, "big"), value & _ROW_MASK


def time_of(identifier: bytes) -> int:
    """Return when the id was given out, in microseconds since 1970, to the millisecond."""
    return int.from_bytes(identifier[:6], "big") * 1000


def day_of(identifier: bytes) -> date:
    """Return the day, in UTC, on which the id was given out.

    A time beyond the calendar, for which an id has room, counts as its last day.
    """
    seconds = min(int.from_bytes(identifier[:6], "big") // 1000, _LAST_SECOND)
    return datetime.fromtimestamp(seconds, UTC).date()


def first_of(day: date) -> bytes:
    """Return the smallest id that the day may have: all ids of earlier days are smaller."""
    return first_id_at(datetime(day.year, day.month, day.day, tzinfo=UTC))


def first_id_at(moment: datetime) -> bytes:
    """Return the smallest id that this moment may have: all earlier ids are smaller."""
    return max(0, int(moment.timestamp() * 1000)).to_bytes(6, "big") + bytes(10)
