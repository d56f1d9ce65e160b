"""Find the processes of a run: the one that its tag names, and all that descend from it."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

RUN_VARIABLE = "FACTORY_RUN_ID"
"""Environment variable of a worker, which everything that it starts inherits."""


def processes_of(run_id: str) -> Iterator[int]:
    """Yield the number of each process that was started for the run, by its environment."""
    wanted = f"{RUN_VARIABLE}={run_id}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        # Another user's process, or one that has just ended.
        with suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def kill_processes_of(run_id: str) -> int:
    """Kill what is left of a run, and return how many processes that were.

    A process that forks meanwhile is found in the next round.
    """
    killed: set[int] = set()
    while new := {*processes_of(run_id)} - killed - {os.getpid()}:
        for pid in new:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= new
    return len(killed)
