"""What a training may spend: one account for all its networks, of which each has an even share.

What a network leaves over, those after it may spend. How a kind of model is stopped is its own
business.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from factory_assets.results.base import StageResult
from factory_assets.results.model import Stopped
from factory_assets.spec.train import Budget
from factory_resources.home.home import storage_errors
from factory_resources.metering.meter import Meter, Rates

PAUSE = 0.5
"""Seconds between two looks at the meter."""

KEEP = 5.0
"""Seconds between two notes of what was spent."""

FILE = "spent.json"


class Spent(StageResult):
    """What was spent by a moment."""

    wh: float = 0.0
    minutes: float = 0.0
    ends: dict[int, int] = {}
    """After how many steps networks were stopped."""


class Account(Protocol):
    """Says when it is over."""

    def over(self, network: int, of: int, steps: int) -> bool:
        """Whether the network, after so many steps, must stop."""

    def stopped(self) -> Stopped | None:
        """Where it had to; None where every network came to its own end."""


@dataclass(frozen=True)
class Share:
    """What one network of a training may spend."""

    account: Account
    network: int = 0
    of: int = 1

    def part(self, network: int, of: int) -> Share:
        return replace(self, network=network, of=of)

    def over(self, steps: int) -> bool:
        return self.account.over(self.network, self.of, steps)


class Metered:
    """By what is metered: another training may stop elsewhere.

    Args:
        kept: the file that remembers over a kill what was spent by then; None where nothing does.
    """

    def __init__(self, budget: Budget, meter: Meter, kept: Path | None = None) -> None:
        self._budget, self._meter, self._file = budget, meter, kept
        self._before = self._seen = _read(kept) if kept else Spent()
        self._looked = self._kept = -inf
        self._ends: dict[int, int] = dict(self._before.ends)
        self._of = 1

    def over(self, network: int, of: int, steps: int) -> bool:
        now = time.monotonic()
        if now - self._looked >= PAUSE:
            self._seen, self._looked = self._now(), now
        stops = self._share() >= (network + 1) / of
        if stops:
            self._ends[network], self._of = steps, of
        if stops or now - self._kept >= KEEP:
            self._keep()
        return stops

    def stopped(self) -> Stopped | None:
        if not self._ends:
            return None
        spent, budget = self._now(), self._budget
        limits = {"Wh": budget.wh, "minutes": budget.minutes}
        return Stopped(
            budget=" or ".join(f"{limit:g} {unit}" for unit, limit in limits.items() if limit),
            wh=spent.wh,
            minutes=spent.minutes,
            after=tuple(self._ends.get(network) for network in range(self._of)),
        )

    def _now(self) -> Spent:
        cost, before = self._meter.read(), self._before
        return Spent(
            wh=before.wh + cost.wh, minutes=before.minutes + cost.seconds / 60, ends=self._ends
        )

    def _share(self) -> float:
        """What was spent, of what is allowed."""
        pairs = (self._seen.wh, self._budget.wh), (self._seen.minutes, self._budget.minutes)
        return max(spent / limit for spent, limit in pairs if limit is not None)

    def _keep(self) -> None:
        if self._file:
            self._kept, spent = time.monotonic(), self._seen.model_copy(update={"ends": self._ends})
            with storage_errors(self._file):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                new = self._file.with_suffix(".new")
                new.write_text(spent.model_dump_json(), encoding="utf-8")
                os.replace(new, self._file)


class Replayed:
    """By where an earlier training was stopped, so that the same comes out."""

    def __init__(self, before: Stopped) -> None:
        self._before = before

    def over(self, network: int, of: int, steps: int) -> bool:
        ends: Sequence[int | None] = self._before.after
        end = ends[network] if network < len(ends) else None
        return end is not None and steps >= end

    def stopped(self) -> Stopped | None:
        return self._before


def _read(path: Path) -> Spent:
    """Nothing was spent where the file is not there, or was lost in a power cut."""
    try:
        return Spent.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Spent()


@contextmanager
def account_of(
    budget: Budget | None, before: Stopped | None, kept: Path | None
) -> Iterator[Account | None]:
    """The account of a training that begins now; None where it may spend what it needs.

    Args:
        budget: as declared.
        before: where the training that is to be done again was stopped.
        kept: the folder of what outlives a kill.
    """
    if before:
        yield Replayed(before)
    elif budget is None:
        yield None
    else:
        with Meter(Rates.from_env()) as meter:
            yield Metered(budget, meter, kept / FILE if kept else None)
