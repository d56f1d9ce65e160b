"""A process of this machine, and the lines to it and from it.

What the lines say belongs in `protocol`. Nodes of a cluster import this module, so it imports the
standard library alone.
"""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

NO_MEMORY = 77
"""Exit code of a worker that has no memory left."""

_LOOK = 500
"""Milliseconds after which it is noticed that a process died whose children hold its pipe open."""

_END = 10.0
"""Seconds that a process has to end when there is nothing more to do."""


class WorkerEnded(Exception):  # noqa: N818 - whoever asked the process answers it
    """The process ended without an answer."""


class LocalProcess:
    """A process that was started, and the pipes to it and from it.

    Args:
        module: what it runs, whose first three arguments are those of `process`.
        arguments: those after them.
        environment: its variables.
    """

    def __init__(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        theirs_in, self._requests = os.pipe()
        self._answers, theirs_out = os.pipe()
        self._buffer = bytearray()
        numbers = map(str, (theirs_in, theirs_out, os.getpid()))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *numbers, *arguments],
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
        """Send a message.

        Raises:
            WorkerEnded: the process is gone.
        """
        try:
            while line:
                line = line[os.write(self._requests, line) :]
        except BrokenPipeError:
            raise self.remove() from None

    def line(self) -> bytes:
        """Return the next message.

        Raises:
            WorkerEnded: the process is gone.
        """
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

    def end(self) -> None:
        """Let the process end: there is nothing more to do."""
        os.close(self._requests)
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        os.close(self._answers)

    def kill(self) -> None:
        """Kill the process and all that it has started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _has_ended(self) -> bool:
        """Whether the process is gone; its number is not given to another one yet."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, options) is not None

    def remove(self) -> WorkerEnded:
        """Remove what is left of the process, and return how it ended."""
        self.kill()
        code = self._process.wait()
        os.close(self._requests)
        os.close(self._answers)
        if code == NO_MEMORY:
            return WorkerEnded("had no memory left")
        name = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"exited with {code}"
        return WorkerEnded(name)
