"""Which database the prediction log has: SQLite in the home, or the PostgreSQL of the factory."""

from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.prediction_log.store import PredictionStore


def open_store(home: Home) -> PredictionStore:
    """Return the store of a home, which the caller closes; its tables are made if missing.

    Raises:
        StorageError: the database cannot be read or written.
    """
    from factory_resources.prediction_log.sqlite_store import SqliteStore

    with storage_faults(home):
        return SqliteStore(home.predictions_database)


def has_store(home: Home) -> bool:
    """Whether anything was ever stored."""
    return home.predictions_database.exists()
