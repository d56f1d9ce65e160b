"""Open the database of outcomes: SQLite in the home, or the PostgreSQL of the factory."""

from factory_resources.home.database import server_address
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.outcomes.store import SCHEMA, OutcomeStore
from factory_resources.prediction_log.database import Database


def open_outcomes(home: Home) -> OutcomeStore:
    """Return the outcomes of a home, which the caller closes; the tables are made if missing.

    Raises:
        StorageError: the database cannot be read or written.
    """
    with storage_faults(home):
        return OutcomeStore(_database(home))


def has_outcomes(home: Home) -> bool:
    """Whether the tables were ever made.

    Raises:
        StorageError: the database cannot be read.
    """
    if not (address := server_address()):
        return home.outcomes_database.exists()
    from factory_resources.prediction_log.postgres_database import has_postgres_table

    with storage_faults(home):
        return has_postgres_table(address, SCHEMA.name, "outcome")


def last_outcomes(home: Home, until: int) -> tuple[int, int]:
    """Return the numbers of the last outcome, and of the last that was recorded until a time.

    A number is 0 if there is none.

    Args:
        until: microseconds since 1970.
    """
    if not has_outcomes(home):
        return 0, 0
    with open_outcomes(home) as outcomes:
        return outcomes.last_number(), outcomes.last_number(until)


def _database(home: Home) -> Database:
    if address := server_address():
        from factory_resources.prediction_log.postgres_database import PostgresDatabase

        return PostgresDatabase(address, SCHEMA, locked="outcome")
    from factory_resources.prediction_log.sqlite_database import SqliteDatabase

    return SqliteDatabase(home.outcomes_database, SCHEMA)
