"""The ledger of a test's home: what it shall say, and what the verifier says of it."""

from factory_assets.execution.ledger_entries import entries_of
from factory_resources.home.database import server_address
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ChampionMade
from factory_resources.ledger.factory_verify import Expectation, verify_path
from factory_resources.ledger.ledger import Ledger
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records


def count(record: Record, home: Home) -> None:
    """Store a record that counts."""
    Ledger(home).append([*entries_of(record, Records(home).save(record))])


def make_champion(pipeline: str, version: int, home: Home) -> None:
    """Let a version serve."""
    entry = ChampionMade(
        subject=f"champion/{pipeline}",
        pipeline=pipeline,
        version=version,
        graph="0" * 64,
        record="none",
    )
    Ledger(home).append([entry])


def problems(home: Home) -> list[str]:
    """Return what does not hold, one line each. Of a server, a copy of the ledger is verified."""
    if server_address() is None:
        report, _ = verify_path(str(home.path), Expectation())
    else:
        with home.scratch() as scratch:
            Ledger(home).copy(scratch / "copy.db")
            report, _ = verify_path(str(home.path), Expectation(), str(scratch / "copy.db"))
    return [str(problem) for problem in report.problems]
