"""The ledger of a test's home: what it shall say, and what the verifier says of it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from factory_assets.execution.ledger_entries import entries_of
from factory_resources.home.database import server_address
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ChampionMade
from factory_resources.ledger.factory_verify import Expectation, verify_path
from factory_resources.ledger.ledger import Ledger, entry_in
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records


def count(record: Record, home: Home) -> None:
    """Store a record that counts."""
    Ledger(home).append([*entries_of(record, Records(home).save(record))])


def make_champion(pipeline: str, version: int, home: Home, *, rollback: bool | None = None) -> None:
    """Let a version serve; `rollback`: a person went back to it."""
    entry = ChampionMade(
        subject=f"champion/{pipeline}",
        pipeline=pipeline,
        version=version,
        graph="0" * 64,
        record="none",
        rollback=rollback,
    )
    Ledger(home).append([entry])


def ledger_entries(home: Home) -> list[Any]:
    """Return all entries, the oldest first."""
    with Ledger(home).reading() as log:
        return [entry_in(log, number) for number in range(log.size)]


def problems(home: Home) -> list[str]:
    """Return what does not hold, one line each. Of a server, a copy of the ledger is verified."""
    if server_address() is None:
        report, _ = verify_path(str(home.path), Expectation())
    else:
        with home.scratch() as scratch:
            Ledger(home).copy(scratch / "copy.db")
            report, _ = verify_path(str(home.path), Expectation(), str(scratch / "copy.db"))
    return [str(problem) for problem in report.problems]


def cut_off_write(ledger: Path) -> None:
    """Kill a process while it writes entries to a ledger; what it wrote is half in the file."""
    # The pages that do not fit into the cache are in the file before the commit.
    script = (
        "import os, sqlite3, sys\n"
        "raw = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "raw.execute('PRAGMA cache_size = 5')\n"
        "raw.execute('BEGIN IMMEDIATE')\n"
        "for number in range(1000, 3000):\n"
        "    raw.execute('INSERT INTO entry VALUES (?, ?)', (number, bytes(500)))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(ledger)], check=False)
    assert ledger.with_name(f"{ledger.name}-journal").stat().st_size
