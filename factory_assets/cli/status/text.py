"""The status for a terminal: a line for each question, and what needs a person at the end."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from factory_assets.cli.status.report import FactoryStatus, OpenRun
from factory_assets.cli.wrapping import wrap_lines
from factory_resources.durations import minute
from factory_resources.home.disk_space import size_text
from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import amount

_LISTED = 5
"""Runs, schedules and waits of each kind that are named."""

_NEEDS = 50


def status_text(status: FactoryStatus) -> str:
    """Return the status in lines that fit a terminal."""
    lines = [f"{title:<10} {text}" for title, text in _lines(status)]
    return wrap_lines([*lines, *_needs(status)])


def _lines(status: FactoryStatus) -> Iterator[tuple[str, str]]:
    yield "factory", f"{status.home}, {_up(status)}"
    yield "pipelines", f"{status.pipelines:,}, {status.serving:,} serve"
    if status.undeclared:
        yield "undeclared", f"{_listed(status.undeclared)}: no declaration here, but served"
    yield "runs", _runs(status.running) or "nothing runs"
    if status.queued:
        yield "queue", _runs(status.queued)
    yield "last night", _night(status)
    yield (
        "next",
        _listed([f"{one.pipeline} {minute(one.at)} UTC" for one in status.next])
        or "no run is scheduled",
    )
    if status.watched:
        yield "drift", _drift(status)
    waits = [one for one in status.waiting if not one.role]
    if waits:
        yield "waiting", _listed([f"{one.pipeline} {one.text}" for one in waits])
    yield "disk", _disk(status)
    yield "ledger", _ledger(status)
    yield "backup", _backup(status)


def _up(status: FactoryStatus) -> str:
    return f"up at {status.address}" if status.address else "not up"


def _runs(runs: Sequence[OpenRun]) -> str:
    return _listed(
        [
            f"{', '.join(run.pipelines)} since {minute(run.since)} UTC by {run.by}"
            + ("" if run.is_alive else " (its process was killed; the next run ends it)")
            for run in runs
        ]
    )


def _night(status: FactoryStatus) -> str:
    day_before = datetime.fromisoformat(status.time).timestamp() - 86_400
    recent = [
        run.state
        for run in status.night
        if run.ended and datetime.fromisoformat(run.ended).timestamp() >= day_before
    ]
    counts = ", ".join(f"{count} {state}" for state, count in sorted(Counter(recent).items()))
    return f"{counts} (the last run and look of each pipeline in 24 hours)" if counts else "no run"


def _drift(status: FactoryStatus) -> str:
    looks = [one.last_look for one in status.watched if one.last_look]
    alarms = sum(len(one.alarms) for one in status.watched)
    last = f"last look {minute(max(looks))} UTC" if looks else "nobody has looked yet"
    found = f"{alarms} alarm{'' if alarms == 1 else 's'} open" if alarms else "no alarm"
    return f"{len(status.watched):,} watched, {last}, {found}"


def _disk(status: FactoryStatus) -> str:
    disk = status.disk
    text = f"{size_text(disk.free)} of {size_text(disk.total)} free, {size_text(disk.keep)} kept"
    if disk.grows_per_day is None:
        return f"{text}; how fast it fills is known after a day of runs"
    if disk.days_left is None:
        return f"{text}; it does not fill up"
    return f"{text}; fills by {size_text(disk.grows_per_day)} a day, full in {disk.days_left:.0f} d"


def _ledger(status: FactoryStatus) -> str:
    entries, seen = f"{status.entries:,} entries", status.witnesses
    if not status.entries and Home(Path(status.home)).records.is_dir():
        return "none yet: this home is older than the ledger; factory backup or a run begins one"
    if not status.entries:
        return "none yet: nothing has run in this home (FACTORY_HOME names another)"
    if seen is None:
        return f"{entries}; no witness is declared"
    if seen.last is None:
        return f"{entries}; no witness has seen it"
    return f"{entries}; a witness has seen {seen.seen:,} of them, last {minute(seen.last)} UTC"


def _backup(status: FactoryStatus) -> str:
    made = status.backup
    if made is None:
        return "none"
    newer = status.entries - made.entries
    return (
        f"last {minute(made.at)} UTC: {made.files:,} files, {size_text(made.bytes)}, "
        f"{amount(newer, 'entries of the ledger')} {'is' if newer == 1 else 'are'} newer"
    )


def _needs(status: FactoryStatus) -> Iterator[str]:
    yield ""
    if not status.needs:
        yield "All is well."
        return
    yield f"Needs a person ({len(status.needs):,}):"
    for need in status.needs[:_NEEDS]:
        yield f"  {need.pipeline + ': ' if need.pipeline else ''}{need.what}"
        yield from (f"    {detail}" for detail in need.details)
    if len(status.needs) > _NEEDS:
        yield f"  and {len(status.needs) - _NEEDS:,} more: factory status --json"


def _listed(texts: Sequence[str]) -> str:
    more = f", and {len(texts) - _LISTED:,} more" if len(texts) > _LISTED else ""
    return ", ".join(texts[:_LISTED]) + more
