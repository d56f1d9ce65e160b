"""Refuse a command that changes the whole home while a run or a server uses it."""

from collections.abc import Iterator
from contextlib import contextmanager

from factory_assets.cli.shared import require_no_run
from factory_assets.cli.up import serving_lock
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.prediction_log.collector import journal_folder
from factory_resources.prediction_log.journal import is_written


@contextmanager
def at_rest(home: Home) -> Iterator[None]:
    """Keep `factory up`, runs and backups from starting in the block.

    Raises:
        FactoryError: one of them, or a prediction server, is at work.
    """
    home.require_writable()
    with serving_lock(home), home.alone():
        require_no_work(home)
        yield


def require_no_work(home: Home) -> None:
    """Refuse while a run or a prediction server works.

    The caller has the lock of `factory up`, without which no daemon works.

    Raises:
        StorageError: one does.
    """
    require_no_run(home, no_daemon=True)
    if is_written(journal_folder(home)):
        raise StorageError(
            "a prediction server is running", where=str(home.path), remedy="stop it first"
        )
