"""A new version beside the champion, as one server sees it: who gets it, and how it does.

What all servers saw, and what follows from it, belongs in `execution.rollout_file`.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from hashlib import blake2b
from typing import TYPE_CHECKING

from factory_assets.execution.rollout import Rollout
from factory_assets.execution.rollout_evidence import Batch
from factory_assets.spec.rollout import WHOLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from factory_assets.serving.online.served_model import ServedModel


CALLER = b"x-caller"
"""The header by which a caller, or a program in front of many, says who asks."""

_KEPT = 10_000
"""Times of answers that are remembered until they are compared, of each version."""

_ALONE = 10.0
"""Seconds after which answers of the new version are added although the champion gave none."""


def caller_key(token: str, headers: Mapping[bytes, bytes]) -> bytes | None:
    """Return by what a caller is told from others; None if nothing tells it.

    Args:
        token: the name of the token, "" if there is none.
    """
    named = headers.get(CALLER, b"")
    return b"%b\n%b" % (token.encode(), named) if token or named else None


class ServedRollout:
    """One roll-out; everything but `challenger` is used from the event loop."""

    def __init__(self, rollout: Rollout, challenger: ServedModel) -> None:
        self.rollout, self.challenger = rollout, challenger
        self.has_ended = False
        """Whether nobody gets the new version any more."""
        self._share = rollout.started.share
        self._salt = f"{challenger.pipeline}@{challenger.version}\n".encode()
        self._answers = self._failures = self._rows = self._different = 0
        self._seconds, self._champion_seconds = _times(), _times()
        self._since = time.monotonic()

    @property
    def is_canary(self) -> bool:
        """Whether callers get the new version's answers."""
        return self.rollout.started.mode == "canary"

    def gives_new_version(self, key: bytes | None) -> bool:
        """Whether a caller gets the new version: always the same one, if something tells who asks.

        Args:
            key: None draws anew for each request.
        """
        if key is None:
            return secrets.randbelow(WHOLE) < self._share
        digest = blake2b(self._salt + key, digest_size=8).digest()
        return int.from_bytes(digest, "big") % WHOLE < self._share

    def answered(self, seconds: float) -> None:
        """Count an answer of the new version, which it computed for so long."""
        self._answers += 1
        self._seconds.append(seconds)

    def champion_answered(self, seconds: float) -> None:
        """Count an answer of the champion."""
        self._champion_seconds.append(seconds)

    def failed(self) -> None:
        """Count a request that the champion answered and the new version did not."""
        self._answers += 1
        self._failures += 1

    def compared(self, rows: int, different: int) -> None:
        """Count rows that both versions answered, and those with another prediction."""
        self._rows += rows
        self._different += different

    def take(self) -> Batch:
        """Return what was counted and not returned yet, once there is something to compare."""
        waited = time.monotonic() - self._since > _ALONE
        both = self._answers and (self._champion_seconds or self._failures)
        if not both and not (self._answers and waited):
            return Batch()
        batch = Batch(
            self._answers,
            self._failures,
            (*self._seconds,),
            (*self._champion_seconds,),
            self._rows,
            self._different,
        )
        self._answers = self._failures = self._rows = self._different = 0
        self._seconds, self._champion_seconds = _times(), _times()
        self._since = time.monotonic()
        return batch


def _times() -> deque[float]:
    return deque(maxlen=_KEPT)
