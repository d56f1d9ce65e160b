"""A process that works, and the way to it and back; here one of this machine, by pipes.

What is sent belongs in `protocol`, when, in `worker_process`, what the process does, in `process`.
Nodes of a cluster import this module for the lines that they pass on, so it imports little.
"""

import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from factory_resources.interpreter import module_command

NO_MEMORY = 77
"""Exit code of a worker that has no memory left."""

_LOOK = 500
"""Milliseconds after which it is noticed that a process died whose children hold its pipe open."""

_END = 10.0
"""Seconds that a process has to end when there is nothing more to do."""


class WorkerEnded(Exception):  # noqa: N818 - it is answered in `worker_process`
    """The process ended without an answer."""


class WorkerConnection(Protocol):
    """A process that was started somewhere, and the way to it and back."""

    def send(self, line: bytes) -> None:
        """Send a message.

        Raises:
            WorkerEnded: the process is gone.
        """

    def line(self) -> bytes:
        """Return the next message.

        Raises:
            WorkerEnded: the process is gone.
        """

    def finish(self) -> None:
        """Tell the process that nothing more is asked; do not wait for its end."""

    def end(self) -> None:
        """Let the process end, and wait until it has."""

    def kill(self) -> None:
        """Kill the process and all that it has started; another thread may wait for a message."""

    def remove(self) -> WorkerEnded:
        """Remove what is left of the process, and return how it ended."""


class LocalConnection:
    """A process of this machine that was started, and the pipes to it and from it.

    Args:
        module: what it runs, whose first three arguments are those of `process.work`.
        arguments: those after them.
        environment: its variables.
    """

    def __init__(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self._is_finished = False
        theirs_in, self._requests = os.pipe()
        self._answers, theirs_out = os.pipe()
        self._buffer = bytearray()
        numbers = map(str, (theirs_in, theirs_out, os.getpid()))
        try:
            self._process = subprocess.Popen(
                module_command(module, *numbers, *arguments),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs_in, theirs_out),
                # Whoever presses Ctrl-C stops the run, which then kills it with its children.
                process_group=0,
            )
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self._poll = select.poll()
        self._poll.register(self._answers, select.POLLIN)

    def send(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self._requests, line) :]
        except BrokenPipeError:
            raise self.remove() from None

    def line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if self._poll.poll(_LOOK):
                part = os.read(self._answers, 1 << 16)
                if not part:
                    raise self.remove()
                self._buffer += part
            elif self._has_ended():
                raise self.remove()
        found = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return found

    def finish(self) -> None:
        if not self._is_finished:
            os.close(self._requests)
        self._is_finished = True

    def end(self) -> None:
        self.finish()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        os.close(self._answers)

    def kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _has_ended(self) -> bool:
        """Whether the process is gone; its number is not given to another one yet."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, options) is not None

    def remove(self) -> WorkerEnded:
        self.kill()
        code = self._process.wait()
        self.finish()
        os.close(self._answers)
        if code == NO_MEMORY:
            return WorkerEnded("had no memory left")
        name = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"exited with {code}"
        return WorkerEnded(name)
