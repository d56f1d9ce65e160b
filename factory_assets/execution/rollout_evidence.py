"""What a roll-out has shown so far, and what follows from it.

The comparisons stay valid however often they are looked at (`ml.performance.sequential`). Each
server adds what it saw in `rollout_file`; the entries of the ledger belong in `rollout`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from factory_assets.execution.rollout import Ending
from factory_assets.ml.performance.sequential import (
    IndependentComparison,
    RateComparison,
)
from factory_resources.ledger.rollout_entries import RolloutCounts, RolloutStarted

ALPHA = 0.01
"""The probability, for each of the comparisons, that a version is called worse and is not."""

FAILURES, SLOW, LOSS = 0.01, 0.05, 0.02
"""How much worse a version may be: by the share of requests that it does not answer, by the share
of slow answers, by the mean loss from 0 to 1 of answers whose truth is known."""

_FIRST = 200
"""Answers of the champion that say what is slow: longer than 99 % of them."""


class LabelledLosses(Protocol):
    """The losses of two versions' answers whose truth is known by now."""

    def __call__(
        self, pipeline: str, versions: tuple[int, int], since: str
    ) -> tuple[Sequence[float], Sequence[float]]:
        """Return each version's losses from 0 to 1 in the order in which the truth arrived.

        Those that were returned before come first again, and are the same. There are none if the
        versions predict different things.

        Args:
            since: answers that are older do not count: UTC, ISO 8601.
        """
        ...


@dataclass(frozen=True)
class Batch:
    """What one server saw in one span of time."""

    answers: int = 0
    failures: int = 0
    seconds: tuple[float, ...] = ()
    """How long the new version computed each of its answers."""
    champion_seconds: tuple[float, ...] = ()
    rows: int = 0
    different: int = 0

    def __bool__(self) -> bool:
        return bool(self.answers or self.champion_seconds)


@dataclass(frozen=True)
class RolloutEvidence:
    """Counts and comparisons; an update returns the next ones."""

    counts: RolloutCounts = field(default_factory=RolloutCounts)
    first: tuple[float, ...] = ()
    """Seconds of the champion's first answers, until there are enough of them."""
    limit: float | None = None
    """Seconds from which on an answer is slow; None while it is not known."""
    failed: RateComparison = field(default_factory=lambda: RateComparison.begin(FAILURES))
    slow: RateComparison = field(default_factory=lambda: RateComparison.begin(SLOW))
    loss: IndependentComparison = field(default_factory=lambda: IndependentComparison.begin(LOSS))
    judged: tuple[int, int] = (0, 0)
    """How many losses of the new version and of the champion were compared."""

    def with_batch(self, batch: Batch) -> RolloutEvidence:
        """Add what a server saw."""
        counts = self.counts.model_copy(
            update={
                "answers": self.counts.answers + batch.answers,
                "failures": self.counts.failures + batch.failures,
                "rows": self.counts.rows + batch.rows,
                "different": self.counts.different + batch.different,
            }
        )
        # Whatever the new version does not answer, the champion did.
        failed = self.failed.update((batch.failures, batch.answers), (0, batch.answers))
        return replace(self, counts=counts, failed=failed)._with_times(batch)

    def _with_times(self, batch: Batch) -> RolloutEvidence:
        if self.limit is None:
            first = (*self.first, *batch.champion_seconds)
            if len(first) < _FIRST:
                return replace(self, first=first)
            # It is known before the answers that are compared by it.
            return replace(self, first=(), limit=sorted(first)[int(len(first) * 0.99)])
        ours = _slow(batch.seconds, self.limit)
        theirs = _slow(batch.champion_seconds, self.limit)
        counts = self.counts.model_copy(
            update={
                "timed": self.counts.timed + ours[1],
                "slow": self.counts.slow + ours[0],
                "champion_timed": self.counts.champion_timed + theirs[1],
                "champion_slow": self.counts.champion_slow + theirs[0],
            }
        )
        return replace(self, counts=counts, slow=self.slow.update(ours, theirs))

    def with_losses(self, new: Sequence[float], champion: Sequence[float]) -> RolloutEvidence:
        """Add the losses that were not compared yet, as soon as there are some of both versions.

        Args:
            new: all losses of the new version since the roll-out began.
            champion: all losses of the champion.
        """
        import numpy as np

        ours, theirs = new[self.judged[0] :], champion[self.judged[1] :]
        if not ours or not theirs:
            return self
        loss = self.loss.update(np.asarray(ours), np.asarray(theirs))
        counts = self.counts.model_copy(update={"labelled": len(new)})
        return replace(self, loss=loss, counts=counts, judged=(len(new), len(champion)))

    def worse(self) -> str | None:
        """Return in which way the new version is worse; None if it is not known to be."""
        counts = self.counts
        if self.failed.verdict(ALPHA) == "worse":
            return (
                f"it did not answer {counts.failures:,} of {counts.answers:,} requests that the "
                "champion answered"
            )
        if self.limit is not None and self.slow.verdict(ALPHA) == "worse":
            return (
                f"it computed {counts.slow:,} of {counts.timed:,} answers for longer than "
                f"{self.limit * 1000:.1f} ms, and the champion {counts.champion_slow:,} of "
                f"{counts.champion_timed:,}"
            )
        if self.loss.verdict(ALPHA) == "worse":
            return f"it was wrong more often, by {counts.labelled:,} answers whose truth is known"
        return None


def judge(evidence: RolloutEvidence, started: RolloutStarted, now: datetime) -> Ending | None:
    """Return what is to become of a roll-out; None if it goes on.

    Args:
        now: in UTC.
    """
    counts = evidence.counts
    if why := evidence.worse():
        return Ending("rolled back", why, counts)
    if not is_long_enough(started, now) or counts.answers < started.answers:
        return None
    reason = f"it is not known to be worse after {counts.answers:,} answers"
    return Ending("promoted", reason, counts)


def is_long_enough(started: RolloutStarted, now: datetime) -> bool:
    """Whether a roll-out may end well by now, if there are enough answers."""
    return now - datetime.fromisoformat(started.time) >= timedelta(seconds=started.seconds)


def utc_now() -> datetime:
    """Return the present time by the factory's clock."""
    return datetime.now(UTC)


def _slow(seconds: Sequence[float], limit: float) -> tuple[int, int]:
    return sum(one > limit for one in seconds), len(seconds)
