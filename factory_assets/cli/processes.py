"""The processes that `factory up` starts: they log to files, and end with it.

Which ones there are belongs in `up`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from factory_resources.errors import FactoryError
from factory_resources.home.logs import begin_log

_STOP_TIMEOUT = 15.0
"""Seconds within which a process must end before it is killed."""

_BRIEF = 60.0
"""Seconds: a process that ends within them would end again."""

_COLOUR = re.compile(r"\x1b\[[\d;]*m")
"""What Dagster writes before and behind words of its logs."""


class Processes:
    """What was started, and is stopped together.

    Args:
        logs: the folder of the logs, one for each name.
    """

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own."""
        with begin_log(self.log(name)) as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        self._started.append(process)
        return process

    def log(self, name: str) -> Path:
        """Return the file to which a process writes."""
        return self.logs / f"{name}.log"

    def require_alive(self, processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
        """Require that none of these has ended; forget others that have.

        Raises:
            FactoryError: one has, which has exit code 1.
        """
        self._started = [process for process in self._started if process.poll() is None]
        for name, process in processes.items():
            if process.poll() is not None:
                raise self.error(name, f"ended unexpectedly (code {process.returncode})")

    def error(self, name: str, what: str) -> FactoryError:
        """Return an error, of exit code 1, with the last line of a log."""
        log = self.log(name)
        # Somebody may have removed all logs.
        text = _COLOUR.sub("", log.read_text(errors="replace")) if log.exists() else ""
        lines = [line for line in text.splitlines() if line.strip()]
        last = lines[-1] if lines else "its log is empty"
        error = FactoryError(f"{name} {what}: {last}", where=str(log), remedy="read that log")
        error.exit_code = 1
        return error

    def stop(self) -> None:
        """Send SIGTERM to the group of each process, and SIGKILL if it does not end in time."""
        running = [process for process in self._started if process.poll() is None]
        for process in running:
            os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT
        for process in running:
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class KeptService:
    """A process that is started again if it ends, unless that was soon after its start.

    Args:
        name: that of its log.
        command: its command line.
        processes: those with which it is stopped.
        brief: how many seconds are soon.
    """

    def __init__(
        self, name: str, command: Sequence[str], processes: Processes, brief: float = _BRIEF
    ) -> None:
        self._name, self._command, self._processes = name, command, processes
        self._brief = brief
        self._begin()

    def look(self) -> str | None:
        """Start it again if it has ended, and return what to say about it.

        Raises:
            FactoryError: it ended soon after its start, which has exit code 1.
        """
        code = self.process.poll()
        if code is None:
            return None
        if time.monotonic() - self._begun < self._brief:
            raise self._processes.error(self._name, f"ended unexpectedly (code {code})")
        self._begin()
        log = self._processes.log(self._name)
        return f"{self._name} ended (code {code}), and was started again; its log is {log}.1"

    def _begin(self) -> None:
        self.process = self._processes.start(self._name, self._command)
        self._begun = time.monotonic()


def _end_with_parent() -> None:
    """Make this process end with its parent (Linux only).

    Otherwise a killed factory would leave services behind that go on scheduling runs.
    """
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
