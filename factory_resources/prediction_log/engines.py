"""Which database the prediction log has: SQLite in the home, or the PostgreSQL of the factory."""

from collections.abc import Iterator
from contextlib import contextmanager

from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.prediction_log.store import PredictionStore


@contextmanager
def opened(home: Home) -> Iterator[PredictionStore]:
    """Yield the store of a home; its tables are made if they are missing.

    Raises:
        StorageError: the database cannot be read or written.
    """
    from factory_resources.prediction_log.sqlite_store import SqliteStore

    with storage_faults(home), SqliteStore(home.predictions_database) as store:
        yield store
