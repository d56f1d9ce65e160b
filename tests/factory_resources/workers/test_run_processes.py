"""The processes of a run are found by what they inherit, wherever they are."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from factory_resources.workers.run_processes import (
    RUN_VARIABLE,
    kill_processes_of,
    processes_of,
)

_CHILD = """
import subprocess, sys
other = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(other.pid, flush=True)
other.wait()
"""


@contextmanager
def working(run_id: str) -> Iterator[set[int]]:
    """Start a process of a run with a child in another session; yield both numbers."""
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD],
        env={**os.environ, RUN_VARIABLE: run_id},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield {process.pid, int(process.stdout.readline())}
        finally:
            kill_processes_of(run_id)


def test_the_processes_of_one_run_are_killed() -> None:
    with working("one") as one, working("another") as other:
        assert {*processes_of("one")} == one
        assert kill_processes_of("one") == 2
        assert {*processes_of("another")} == other
    assert kill_processes_of("one") == 0
