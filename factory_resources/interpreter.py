"""How a Python process of the factory starts, collects garbage, is interrupted, and ends.

What a process imports stays until its end. To look through it for garbage, again and again while it
grows, and once more at the end, takes a third of the CPU of a command that imports much.
"""

import atexit
import gc
import io
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Timer, get_ident
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_YOUNG = 20_000
"""New objects after which the youngest are looked through; Python's own number is 700."""

_DAGSTER = (
    "import runpy, sys; sys.path.insert(0, sys.prefix); "
    "runpy.run_module('dagster', run_name='__main__', alter_sys=True)"
)
"""Dagster takes the first folder of the path for that of the script, and ignores it."""

_INTERRUPTIONS = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")
"""What is raised in the main thread at Ctrl-C."""

_MOMENT = 0.01
"""Seconds after which an interruption that was dropped comes again."""

_BUFFERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module.

    Python would look for modules in the present folder first: a `random.py` there, which may be
    anybody's, would run in place of its own.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def dagster_command(*arguments: str) -> list[str]:
    """Return the command line that runs Dagster's command, as `module_command` does."""
    return [sys.executable, "-P", "-c", _DAGSTER, *arguments]


def collect_less() -> None:
    """Let this process look for garbage more rarely, and not at its end. Safe to call again.

    What is registered with `atexit` still runs, and files that were left open, such as by a user's
    module, get what was written to them; not those that were open at a `gc.freeze`.
    """
    gc.set_threshold(_YOUNG)
    atexit.unregister(_end)
    atexit.register(_end)


def keep_interruptions() -> None:
    """Let Ctrl-C interrupt this process wherever it comes. Safe to call again.

    Python prints and drops what is raised while an object is removed: where it comes in a `__del__`
    or in what a weak reference calls, as SQLAlchemy has thousands, work would go on.
    """
    told = sys.unraisablehook
    if getattr(told, "func", None) is not _repeat_interruption:
        sys.unraisablehook = partial(_repeat_interruption, told)


def _repeat_interruption(
    told: "Callable[[UnraisableHookArgs], object]", dropped: "UnraisableHookArgs"
) -> None:
    if dropped.exc_type.__name__ in _INTERRUPTIONS:
        Timer(_MOMENT, signal.pthread_kill, (get_ident(), signal.SIGINT)).start()
    else:
        told(dropped)


def _end() -> None:
    # All is done: Ctrl-C would only show where it came, as would a request to end that Dagster
    # takes for one, and all that was imported would be looked through after all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if callable(signal.getsignal(signal.SIGTERM)):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for file in [one for one in gc.get_objects() if type(one) in _BUFFERS]:
        # It is closed, or was not opened to write.
        with suppress(OSError, ValueError):
            file.flush()
    # What is frozen is not looked through.
    gc.freeze()
