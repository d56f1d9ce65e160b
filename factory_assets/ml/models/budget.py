"""The budget of a training: one account for all its networks, each with an equal share.

Later networks may spend what earlier ones left over. Stopping the training belongs to each kind of
model.
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
from factory_assets.results.training import Stopped
from factory_assets.spec.train import Budget
from factory_resources.home.home import storage_errors
from factory_resources.metering.meter import Meter, Rates

READ_INTERVAL = 0.5
"""Seconds between two readings of the meter."""

STORE_INTERVAL = 5.0
"""Seconds between two writes of the amount spent."""

FILE = "spent.json"


class Spent(StageResult):
    """The amount spent so far."""

    wh: float = 0.0
    minutes: float = 0.0
    ends: dict[int, int] = {}
    """Number of a network to the step after which the budget stopped it."""


class Account(Protocol):
    """Decides when a network must stop."""

    def over(self, network: int, of: int, steps: int) -> bool:
        """Whether network number `network` of `of` must stop after `steps` steps."""

    def stopped(self) -> Stopped | None:
        """Return where networks were stopped; None if none was."""


@dataclass(frozen=True)
class Share:
    """What one network of a training may spend."""

    account: Account
    network: int = 0
    of: int = 1

    def part(self, network: int, of: int) -> Share:
        """Return the share of one network among `of`."""
        return replace(self, network=network, of=of)

    def over(self, steps: int) -> bool:
        """Whether the network must stop after `steps` steps."""
        return self.account.over(self.network, self.of, steps)


class MeteredAccount:
    """Stops by metered consumption, so that another training may stop elsewhere.

    Args:
        file: stores the amount spent, so that it survives a kill; None if it is not stored.
    """

    def __init__(self, budget: Budget, meter: Meter, file: Path | None = None) -> None:
        self._budget, self._meter, self._file = budget, meter, file
        self._before = self._latest = _read_spent(file) if file else Spent()
        self._read_at = self._stored_at = -inf
        self._ends: dict[int, int] = dict(self._before.ends)
        self._of = 1

    def over(self, network: int, of: int, steps: int) -> bool:
        now = time.monotonic()
        if now - self._read_at >= READ_INTERVAL:
            self._latest, self._read_at = self._spent(), now
        stops = self._spent_share() >= (network + 1) / of
        if stops:
            self._ends[network], self._of = steps, of
        if stops or now - self._stored_at >= STORE_INTERVAL:
            self._store()
        return stops

    def stopped(self) -> Stopped | None:
        if not self._ends:
            return None
        spent, budget = self._spent(), self._budget
        # A resumed training does not ask again for networks that were stopped before.
        of = max(self._of, max(self._ends) + 1)
        limits = {"Wh": budget.wh, "minutes": budget.minutes}
        return Stopped(
            budget=" or ".join(f"{limit:g} {unit}" for unit, limit in limits.items() if limit),
            wh=spent.wh,
            minutes=spent.minutes,
            after=tuple(self._ends.get(network) for network in range(of)),
        )

    def _spent(self) -> Spent:
        cost, before = self._meter.read(), self._before
        return Spent(
            wh=before.wh + cost.wh, minutes=before.minutes + cost.seconds / 60, ends=self._ends
        )

    def _spent_share(self) -> float:
        """Return the amount spent as a share of the limit that is closest."""
        pairs = (self._latest.wh, self._budget.wh), (self._latest.minutes, self._budget.minutes)
        return max(spent / limit for spent, limit in pairs if limit is not None)

    def _store(self) -> None:
        if self._file:
            self._stored_at = time.monotonic()
            spent = self._latest.model_copy(update={"ends": self._ends})
            with storage_errors(self._file):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                new = self._file.with_suffix(".new")
                new.write_text(spent.model_dump_json(), encoding="utf-8")
                os.replace(new, self._file)


class ReplayedAccount:
    """Stops where an earlier training was stopped, so that the result is the same."""

    def __init__(self, before: Stopped) -> None:
        self._before = before

    def over(self, network: int, of: int, steps: int) -> bool:
        ends: Sequence[int | None] = self._before.after
        end = ends[network] if network < len(ends) else None
        return end is not None and steps >= end

    def stopped(self) -> Stopped | None:
        return self._before


def _read_spent(path: Path) -> Spent:
    """Read the stored amount; zero if the file is missing or was damaged by a power cut."""
    try:
        return Spent.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Spent()


@contextmanager
def open_account(
    budget: Budget | None, before: Stopped | None, folder: Path | None
) -> Iterator[Account | None]:
    """Open the account of a training that starts now; None if it has no limit.

    Args:
        budget: as declared.
        before: where the budget stopped the earlier training that this one repeats.
        folder: survives a kill of the process; the amount spent is stored there.
    """
    if before:
        yield ReplayedAccount(before)
    elif budget is None:
        yield None
    else:
        with Meter(Rates.from_env()) as meter:
            yield MeteredAccount(budget, meter, folder / FILE if folder else None)
