"""Count failed logins, and lock names for a while after some."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

_ALLOWED = 5
"""Failures in a row before a name is locked."""

_FIRST, _LONGEST = 60.0, 3_600.0
"""Seconds for which it is locked then; each further failure doubles them, up to the longest."""

_NAMES = 10_000
"""Names that are remembered; of more, those that failed longest ago are forgotten."""


@dataclass
class _Failures:
    count: int = 0
    locked_until: float = 0.0


class Lockout:
    """The failed logins of one process, of names that exist and of others alike."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, name: str) -> float:
        """Return the seconds for which the name is locked still, or 0."""
        failures = self._names.get(name)
        return max(0.0, failures.locked_until - time.monotonic()) if failures else 0.0

    def failed(self, name: str) -> None:
        """Count a failure."""
        failures = self._names.setdefault(name, _Failures())
        self._names.move_to_end(name)
        failures.count += 1
        if failures.count >= _ALLOWED:
            seconds = min(_LONGEST, _FIRST * 2 ** min(16, failures.count - _ALLOWED))
            failures.locked_until = time.monotonic() + seconds
        while len(self._names) > _NAMES:
            self._names.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """Forget the failures of a name."""
        self._names.pop(name, None)
