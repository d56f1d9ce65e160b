"""Tell people of alarms: once when one begins, once when it is over, whatever is killed in between.

How an alert is sent belongs in `alert_channels`. The ledger has which alarms are open since when.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from factory_assets.monitoring.alert_channels import channel_name, send
from factory_assets.monitoring.looks import Looks
from factory_assets.monitoring.report import MonitorReport
from factory_assets.results.base import StageResult
from factory_assets.spec.settings import AlertChannel
from factory_resources.durations import minute
from factory_resources.errors import FactoryError, StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import Kind
from factory_resources.ledger.ledger import Ledger, latest_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.watch_entries import AlarmsChanged

ALARMS = "alarms.json"
"""The file with the alarms of a pipeline, and who was told of them."""


class KnownAlarm(StageResult):
    """An alarm that is open, or over."""

    kind: str
    version: int
    look: int
    """The look that raised it."""
    since: str
    """UTC, ISO 8601."""
    what: str
    remedy: str
    told: tuple[str, ...] = ()
    """The channels that took the alert, by a digest of where they lead."""
    over: str | None = None
    """When it was over; None as long as it is open."""
    unsent: tuple[str, ...] = ()
    """Why channels did not take the last alert, a line each; the next look tries again."""


class KnownAlarms(StageResult):
    """What is remembered between two looks."""

    alarms: tuple[KnownAlarm, ...] = ()

    @property
    def open(self) -> tuple[KnownAlarm, ...]:
        """Those that are not over."""
        return tuple(alarm for alarm in self.alarms if alarm.over is None)


def known_alarms(looks: Looks) -> KnownAlarms:
    """Return the alarms of a pipeline.

    Raises:
        StorageError: the file was changed.
    """
    file = _file(looks)
    try:
        return KnownAlarms.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return KnownAlarms()
    except (OSError, ValidationError) as error:
        raise StorageError(
            "the alarms cannot be read",
            where=str(file),
            remedy="move the file away: alerts of open alarms are then sent again",
        ) from error


def settle_alarms(report: MonitorReport, channels: Sequence[AlertChannel], home: Home) -> list[str]:
    """Enter in the ledger which alarms are open now, and tell people what is new.

    It may be called again: an alert that was taken is not sent again.

    Returns:
        Why alerts were not taken, a line each; the next call tries again.

    Raises:
        StorageError: the ledger or the alarms cannot be read or written.
    """
    looks = Looks(home, report.pipeline)
    known = _compared(known_alarms(looks), report)
    _enter(report, looks, home)
    _write(looks, known)
    mine = [one for one in channels if not one.pipelines or report.pipeline in one.pipelines]
    return [
        problem
        for alarm in known.alarms
        for problem in _send_alerts(alarm, mine, report, looks, home)
    ]


def _compared(known: KnownAlarms, report: MonitorReport) -> KnownAlarms:
    """Return the alarms after a report: open ones that it confirms, new ones, and those over."""
    raised = {alarm.kind: alarm for alarm in report.alarms}
    kept = []
    for alarm in known.alarms:
        if alarm.over is None and (alarm.kind not in raised or alarm.version != report.version):
            kept.append(alarm.model_copy(update={"over": report.time}))
        else:
            kept.append(alarm)
    still = {alarm.kind for alarm in kept if alarm.over is None}
    new = [
        KnownAlarm(
            kind=kind,
            version=report.version,
            look=report.number,
            since=report.time,
            what=alarm.what,
            remedy=alarm.remedy,
        )
        for kind, alarm in raised.items()
        if kind not in still
    ]
    return KnownAlarms(alarms=(*kept, *new))


def _enter(report: MonitorReport, looks: Looks, home: Home) -> None:
    kinds = tuple(sorted(alarm.kind for alarm in report.alarms))
    subject = AlarmsChanged.subject_of(pipeline=report.pipeline)

    def decide(log: Log) -> list[Kind]:
        last = latest_in(log, AlarmsChanged, subject)
        if (last[1].open if last else ()) == kinds:
            return []
        return [
            AlarmsChanged(
                subject=subject,
                pipeline=report.pipeline,
                version=report.version,
                look=report.number,
                report=sha256(looks.content(report.number)).hexdigest(),
                open=kinds,
            )
        ]

    Ledger(home).append_decided(decide)


def _send_alerts(
    alarm: KnownAlarm,
    channels: Sequence[AlertChannel],
    report: MonitorReport,
    looks: Looks,
    home: Home,
) -> list[str]:
    """Send what a channel has not taken yet, and remember each that took it.

    Returns:
        Why channels did not take it, or whom it does not reach, a line each.
    """
    problems: list[str] = []
    for channel in channels:
        identity = _identity(channel)
        news: Literal["open", "over"] = "over" if alarm.over else "open"
        # If nobody was told that an alarm began, nobody is told that it is over.
        if (news == "open") == (identity in alarm.told):
            continue
        try:
            missed = send(channel, alert_of(alarm, report.pipeline, news), home)
        except FactoryError as error:
            # The name of most channels has the place already.
            known = (
                f"{error.where}: " if error.where and error.where in channel_name(channel) else ""
            )
            problems.append(f"{channel_name(channel)}: {str(error).removeprefix(known)}")
            continue
        problems += [f"{channel_name(channel)}: {missed}"] if missed else []
        told = {*alarm.told} ^ {identity}
        alarm = alarm.model_copy(update={"told": tuple(sorted(told))})
        _replace(looks, alarm)
    # A channel that is declared no more is not waited for: the alarm would stay for ever.
    if alarm.over and not {*alarm.told} & {_identity(channel) for channel in channels}:
        _replace(looks, alarm, remove=True)
    elif alarm.unsent != tuple(problems):
        _replace(looks, alarm.model_copy(update={"unsent": tuple(problems)}))
    return problems


def _identity(channel: AlertChannel) -> str:
    """Return a digest of where a channel leads: how it gets there may be corrected meanwhile."""
    place: object = channel.command
    if channel.webhook:
        place = channel.webhook.url
    elif channel.email:
        place = sorted(channel.email.to)
    return sha256(repr(place).encode()).hexdigest()[:16]


def alert_of(alarm: KnownAlarm, pipeline: str, news: Literal["open", "over"]) -> dict[str, Any]:
    """Return what is sent: what happened, since when, what to do, where to look."""
    identity = f"{pipeline}@{alarm.version}/{alarm.kind}/{alarm.look}/{news}"
    head = f"{pipeline}@{alarm.version}: {alarm.kind}"
    title = f"{head} alarm" if news == "open" else f"{head} is over"
    where = f"factory monitor {pipeline} --last, or the asset {pipeline}/monitor"
    lines = [alarm.what, f"Since: {minute(alarm.since)} UTC"]
    lines += [f"Over: {minute(alarm.over)} UTC"] if alarm.over else [f"What to do: {alarm.remedy}"]
    return {
        "id": sha256(identity.encode()).hexdigest()[:32],
        "state": news,
        "title": title,
        "text": "\n".join([*lines, f"Where to look: {where}"]),
        "pipeline": pipeline,
        "version": alarm.version,
        "kind": alarm.kind,
        "what": alarm.what,
        "since": alarm.since,
        "over": alarm.over,
        "remedy": alarm.remedy,
        "where": where,
    }


def _replace(looks: Looks, alarm: KnownAlarm, *, remove: bool = False) -> None:
    key = (alarm.kind, alarm.look)
    others = known_alarms(looks).alarms
    kept = tuple(alarm if (one.kind, one.look) == key else one for one in others)
    if remove:
        kept = tuple(one for one in others if (one.kind, one.look) != key)
    _write(looks, KnownAlarms(alarms=kept))


def _write(looks: Looks, known: KnownAlarms) -> None:
    looks.home.write_atomic(_file(looks), known.model_dump_json(indent=1).encode())


def _file(looks: Looks) -> Path:
    return looks.folder / ALARMS
