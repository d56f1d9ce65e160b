"""Open the database of the prediction log: SQLite in the home, or the PostgreSQL of the factory.

That of outcomes is chosen likewise, in `factory_resources.outcomes.engines`.
"""

from factory_resources.home.database import server_address
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.prediction_log.store import PredictionStore


def open_store(home: Home) -> PredictionStore:
    """Return the store of a home, which the caller closes; its tables are made if missing.

    Raises:
        StorageError: the database cannot be read or written.
    """
    with storage_faults(home):
        if address := server_address():
            from factory_resources.prediction_log.postgres_store import PostgresStore

            return PostgresStore(address)
        from factory_resources.prediction_log.sqlite_store import SqliteStore

        return SqliteStore(home.predictions_database)


def has_store(home: Home) -> bool:
    """Whether anything was ever stored.

    Raises:
        StorageError: the database cannot be read.
    """
    if not (address := server_address()):
        return home.predictions_database.exists()
    from factory_resources.prediction_log.postgres_store import has_postgres_store

    with storage_faults(home):
        return has_postgres_store(address)
