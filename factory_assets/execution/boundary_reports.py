"""The reports of the boundaries of runs: where they are, and how the ledger comes to know them.

A report is written outside, when the process has ended, to `boundary/new` in the home, which no run
can change. When its entry is in the ledger it moves to `boundary`. What a boundary is for, and its
report, belong in `factory_resources.boundary`.
"""

import os
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from factory_resources.boundary.report import BoundaryReport, parse_report
from factory_resources.durability import sync_path
from factory_resources.home.home import Home, storage_errors
from factory_resources.ledger.boundary_entries import AddressTraffic, BoundaryHeld
from factory_resources.ledger.entries import Kind
from factory_resources.ledger.ledger import Ledger, latest_in
from factory_resources.ledger.log import Log

REPORT_VARIABLE = "FACTORY_BOUNDARY_REPORT"
"""Environment variable by which a process inside knows the name of its report."""

_REASON = 500
"""Characters of a reason in an entry; the report has all of it."""

_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")


def reports_folder(home: Home) -> Path:
    """Return the folder of the reports."""
    return home.path / "boundary"


def report_file(home: Home, name: str) -> Path:
    """Return where the report of that name is to be written."""
    folder = reports_folder(home) / "new"
    with storage_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{name}.json"


def enter_reports(home: Home) -> dict[str, BoundaryReport]:
    """Append an entry for each report that has none yet, the oldest first; return them by name.

    Without a ledger they wait: then nothing was computed either.

    Raises:
        StorageError: the ledger cannot be written; they are entered the next time.
    """
    entered = {}
    for file in sorted((reports_folder(home) / "new").glob("*.json"), key=_written):
        if not Ledger(home).exists or not _NAME.fullmatch(file.stem):
            continue
        with home.lock("boundary_reports"):
            if report := _enter(file, home):
                entered[file.stem] = report
    return entered


def own_report() -> str | None:
    """Return the name of the report of the boundary around this process; None if it has none."""
    return os.environ.get(REPORT_VARIABLE)


def _written(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        # Another process has entered it meanwhile.
        return 0


def _enter(file: Path, home: Home) -> BoundaryReport | None:
    try:
        content = file.read_bytes()
        report = parse_report(content.decode())
    except (OSError, ValueError):
        # Another process has entered it meanwhile; or somebody put something else there.
        return None

    def decide(log: Log) -> list[Kind]:
        entry = _entry(file.stem, report, sha256(content).hexdigest())
        known = latest_in(log, BoundaryHeld, entry.subject)
        return [] if known and known[1].report == entry.report else [entry]

    with storage_errors(file):
        sync_path(file.parent)
    Ledger(home).append_decided(decide)
    with storage_errors(file):
        file.replace(reports_folder(home) / file.name)
    return report


def _entry(name: str, report: BoundaryReport, digest: str) -> BoundaryHeld:
    return BoundaryHeld(
        subject=BoundaryHeld.subject_of(report=name),
        level=report.level,
        reason=report.reason[:_REASON],
        allowed=dict(_traffic(report)),
        exit_code=report.exit_code,
        report=digest,
    )


def _traffic(report: BoundaryReport) -> Iterator[tuple[str, AddressTraffic]]:
    for one in report.traffic:
        yield (
            one.address,
            AddressTraffic(connections=one.connections, sent=one.sent, received=one.received),
        )
