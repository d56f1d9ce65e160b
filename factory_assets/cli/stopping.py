"""Stop a running `factory up`, as Ctrl-C does, for a command that needs the factory to itself.

How `factory up` itself ends its services and runs belongs in `up`.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from factory_assets.cli.running import UpProcess, up_process
from factory_assets.cli.up import serving_lock
from factory_resources.errors import FactoryError, StorageError
from factory_resources.home.home import Home
from factory_resources.home.processes import is_alive, process_number

_STOPPED = 60.0
"""Seconds within which `factory up` must end; it kills services that do not end in time."""

_ENDED = 30.0
"""Seconds within which its runs must have ended; a killed daemon leaves them that end by itself."""

_LOOK = 0.2


@contextmanager
def taken_over(home: Home) -> Iterator[UpProcess | None]:
    """Stop a `factory up` of the home, and let no other one start in the block.

    Its lock is taken as soon as it is free.

    Yields:
        The process that was stopped; None if there was none.

    Raises:
        FactoryError: it cannot be stopped from here, or does not end.
    """
    try:
        free = serving_lock(home)
    except FactoryError:
        pass
    else:
        with free:
            yield None
        return
    process = up_process(home)
    if process is None or not is_alive(process.identity):
        raise FactoryError(
            "this factory is in use by a process that this command cannot stop",
            where=str(home.path),
            remedy="wait until it has ended, or stop it where it was started",
        )
    # It may just have ended.
    with suppress(ProcessLookupError):
        os.kill(process_number(process.identity), signal.SIGINT)
    try:
        freed = serving_lock(home, _STOPPED)
    except FactoryError as error:
        raise FactoryError(
            f"factory up was asked to stop, and has not ended after {_STOPPED:.0f} seconds",
            where=str(home.path),
            remedy="end it where it was started, then run again; nothing else was changed",
        ) from error
    with freed:
        yield process


def await_idle(require_idle: Callable[[], None]) -> None:
    """Wait until nothing of a stopped factory works any more.

    Args:
        require_idle: raises a StorageError while something does.

    Raises:
        StorageError: something still does.
    """
    deadline = time.monotonic() + _ENDED
    while True:
        try:
            require_idle()
        except StorageError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK)
        else:
            return
