"""Accept that the world has changed: later answers are compared with the present ones."""

from __future__ import annotations

from datetime import UTC, datetime

from factory_assets.monitoring.champion import WatchedChampion, require_watch
from factory_assets.monitoring.looks import Looks
from factory_assets.monitoring.monitor import begin_anew
from factory_assets.spec import Pipeline
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.watch_entries import ChangeAccepted


def accept(pipeline: Pipeline, reason: str, home: Home) -> int:
    """Compare later answers with those since the oldest change; return how many rows these are.

    The ledger has the reason, and it is entered first: a kill in between leaves an acceptance that
    the next call repeats.

    Args:
        reason: why what is new is as it should be.

    Raises:
        UnknownNameError: nobody has looked yet.
        DataError: too few rows were answered to compare with.
        StorageError: the log or the ledger cannot be read or written.
    """
    watch = require_watch(pipeline)
    looks = Looks(home, pipeline.name)
    report = looks.latest()
    if report is None:
        raise UnknownNameError(
            f"nobody has looked at the answers of {pipeline.name} yet",
            remedy=f"look first: factory monitor {pipeline.name}",
        )
    entry = ChangeAccepted(
        subject=ChangeAccepted.subject_of(pipeline=pipeline.name),
        pipeline=pipeline.name,
        version=report.version,
        look=report.number,
        reason=reason,
    )
    with home.lock(f"watch_{pipeline.name}"):
        champion = WatchedChampion(pipeline, watch, report.version, home)
        return begin_anew(champion, report, datetime.now(UTC), lambda: Ledger(home).append([entry]))
