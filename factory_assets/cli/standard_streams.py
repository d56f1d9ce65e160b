"""The standard streams of a command: they are there, and what is printed is written as a whole."""

import io
import os
import sys
from typing import Any, Literal, TextIO

from factory_resources.errors import StorageError


class _Output(io.FileIO):
    """Standard output whose faults are told as its own: those of the system name no file."""

    _is_lost = False

    def write(self, data: Any) -> int:
        """Write some bytes and return how many.

        Raises:
            StorageError: they cannot be written; what follows is dropped.
        """
        if self._is_lost:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._is_lost = True
            raise StorageError(
                f"cannot write ({error.strerror})",
                where="standard output",
                remedy="free space there, or write to another place",
            ) from error


def prepare_streams() -> None:
    """Put nothing in the place of streams that are closed, and let standard output be complete."""
    # In their order: each gets its own number, which a file of the home would get otherwise.
    sys.stdin = sys.stdin or _nothing("r")
    sys.stdout = _complete(sys.stdout) if sys.stdout else _nothing("w")
    sys.stderr = sys.stderr or _nothing("w")


def _nothing(mode: Literal["r", "w"]) -> TextIO:
    return open(os.devnull, mode)


def _complete(stream: TextIO) -> TextIO:
    """Return a stream to the same file that has a buffer.

    Without one, as with PYTHONUNBUFFERED, Python drops what a full disk does not take. Characters
    that the encoding lacks are written as escapes, as on standard error.
    """
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace" if stream.errors == "strict" else stream.errors,
        line_buffering=True,
    )
