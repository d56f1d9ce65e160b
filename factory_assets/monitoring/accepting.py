"""Accept that the world has changed: later answers are compared with the present ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from factory_assets.monitoring.champion import (
    SEED,
    WatchedChampion,
    require_watch,
    watched_champion,
)
from factory_assets.monitoring.drift_states import FEWEST, ComparedRows, DriftStates
from factory_assets.monitoring.looks import Looks
from factory_assets.monitoring.report import MonitorReport
from factory_assets.monitoring.watching import declared_channels, settle
from factory_assets.spec import Pipeline
from factory_resources.errors import DataError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.watch_entries import ChangeAccepted
from factory_resources.prediction_log.prediction_log import PredictionLog


def accept(pipeline: Pipeline, reason: str, home: Home) -> int:
    """Compare later answers with those since the oldest change; return how many rows these are.

    The ledger has the reason, and it is entered first: a kill in between leaves an acceptance that
    the next call repeats. The alarm of drift is over then, and people are told, so that nothing is
    trained because of it.

    Args:
        reason: why what is new is as it should be.

    Raises:
        UnknownNameError: nobody has looked yet.
        DataError: another version serves since, or too few rows were answered to compare with.
        ModelError: no version serves.
        DeclarationError: `factory.yaml` is wrong.
        StorageError: the log or the ledger cannot be read or written.
    """
    require_watch(pipeline)
    channels = declared_channels()
    looks = Looks(home, pipeline.name)
    report = looks.latest()
    if report is None:
        raise UnknownNameError(
            f"nobody has looked at the answers of {pipeline.name} yet",
            remedy=f"look first: factory monitor {pipeline.name}",
        )
    champion = watched_champion(pipeline, home)
    if champion.version != report.version:
        raise DataError(
            f"the last look was at version {report.version} of {pipeline.name}, and version "
            f"{champion.version} serves now",
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
        rows, accepted = _begin_anew(
            champion, report, datetime.now(UTC), lambda: Ledger(home).append([entry])
        )
    # Who was not reached is told by the next look, and by `factory status` until then.
    settle(accepted, channels, home)
    return rows


def _begin_anew(
    champion: WatchedChampion, report: MonitorReport, now: datetime, enter: Callable[[], object]
) -> tuple[int, MonitorReport]:
    """Compare later answers with those since the oldest change that the last look found.

    Args:
        report: the last look.
        enter: called when there are rows enough, before anything is stored.

    Returns:
        How many rows later answers are compared with, and what the last look is from now on.

    Raises:
        DataError: there are too few.
    """
    looks = Looks(champion.home, champion.pipeline.name)
    since = min((finding.since for finding in report.findings), default=report.began)
    with PredictionLog(champion.home) as log:
        requests = champion.answered(log, _last_block(looks, since), report.until)
        rows = champion.sample(log, requests, SEED)
    if len(rows.ids) < FEWEST:
        raise DataError(
            f"{len(rows.ids)} rows since look {since} are too few to compare later ones with",
            remedy=f"wait until there are {FEWEST}",
        )
    states = DriftStates.begin(
        champion.inputs,
        ComparedRows(rows.inputs, rows.outputs),
        champion.classes,
        champion.strata(rows),
        SEED + report.number,
    )
    enter()
    number = report.number + 1
    calm = tuple(alarm for alarm in report.alarms if alarm.kind != "drift")
    update = {
        "number": number, "began": number, "seasons": champion.seasons,
        "time": now.isoformat(timespec="seconds"), "days": 0.0,
        "findings": (), "evidence": 0.0, "alarms": calm,
        "rows": 0, "requests": 0, "refused": 0, "sampled": 0,
    }  # fmt: skip
    accepted = report.model_copy(update=update)
    looks.store(accepted, states.save)
    return len(rows.ids), accepted


def _last_block(looks: Looks, since: int) -> int:
    """Return the last block of the look before `since`; or of the oldest, if that is not kept."""
    numbers = looks.numbers()
    before = [number for number in numbers if number < since]
    if not before and numbers[0] == since:
        return 0
    return looks.report(before[-1] if before else numbers[0]).until
