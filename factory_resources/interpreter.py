"""How the Python interpreter of a process of the factory collects garbage and ends.

What a process imports stays until its end. To look through it for garbage, again and again while it
grows, and once more at the end, takes a third of the CPU of a command that imports much.
"""

import atexit
import gc
import io
import signal
from contextlib import suppress

_YOUNG = 20_000
"""New objects after which the youngest are looked through; Python's own number is 700."""

_BUFFERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def collect_less() -> None:
    """Let this process look for garbage more rarely, and not at its end. Safe to call again.

    What is registered with `atexit` still runs, and files that were left open, such as by a user's
    module, get what was written to them; not those that were open at a `gc.freeze`.
    """
    gc.set_threshold(_YOUNG)
    atexit.unregister(_end)
    atexit.register(_end)


def _end() -> None:
    # All is done: Ctrl-C would only show where it came.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for file in [one for one in gc.get_objects() if type(one) in _BUFFERS]:
        # It is closed, or was not opened to write.
        with suppress(OSError, ValueError):
            file.flush()
    # What is frozen is not looked through.
    gc.freeze()
