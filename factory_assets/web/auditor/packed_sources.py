"""Read packed source files as streams of their plain bytes, without Arrow, up to a limit.

An ingest unpacks with `factory_resources.sources.files.archives`; a page shows some lines of a
file and must not take as long.
"""

from __future__ import annotations

import gzip
import io
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from factory_resources.errors import SourceError
from factory_resources.home.home import storage_errors
from factory_resources.interpreter import module_command

_MOST = 2 << 30
"""Plain bytes that are read of a file for a page."""

_SECONDS = 20.0
"""Seconds for which a page unpacks."""

_BLOCK = 1 << 20


@contextmanager
def plain_stream(path: Path, name: str, packing: str) -> Iterator[IO[bytes]]:
    """Yield the plain bytes of a file from the beginning; it cannot be moved in.

    Args:
        name: of the source, for messages.
        packing: `plain`, `gz` or `zst`.

    Raises:
        SourceError: it is damaged, or too long to be unpacked for a page.
    """
    if packing == "plain":
        with path.open("rb") as file:
            yield file
        return
    with _unpacked(path, packing) as packed:
        bounded = _Bounded(packed, name)
        yield cast(IO[bytes], io.BufferedReader(bounded, _BLOCK))


def write_plain(path: Path, name: str, packing: str, target: Path) -> None:
    """Write the plain bytes of a file to another one.

    Raises:
        SourceError: as `plain_stream`.
        StorageError: the disk cannot be written.
    """
    with (
        plain_stream(path, name, packing) as packed,
        storage_errors(target),
        target.open("wb") as file,
    ):
        while block := packed.read(_BLOCK):
            file.write(block)


class _Bounded(io.RawIOBase):
    """A stream that ends with an error after so many bytes or seconds."""

    def __init__(self, packed: gzip.GzipFile | _Packed, name: str) -> None:
        self._packed, self._name = packed, name
        self._left, self._until = _MOST, time.monotonic() + _SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        try:
            block = self._packed.read(min(len(view), _BLOCK))
        except (OSError, EOFError, zlib.error) as error:
            raise SourceError(
                f"is damaged or cut short ({str(error)[:100]})",
                where=self._name,
                remedy="fetch the file again",
            ) from error
        self._left -= len(block)
        if self._left < 0 or time.monotonic() > self._until:
            raise SourceError(
                "is too long to be unpacked for a page",
                where=self._name,
                remedy="factory trace shows the lines of a row",
            )
        view[: len(block)] = block
        return len(block)


class _Packed:
    """The bytes that another process unpacks."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def read(self, size: int) -> bytes:
        """Return the next bytes; none at the end.

        Raises:
            OSError: the process could not unpack the file.
        """
        assert self._process.stdout
        block = self._process.stdout.read(size)
        if not block and self._process.wait(_SECONDS):
            raise OSError("it cannot be unpacked")
        return block


@contextmanager
def _unpacked(path: Path, packing: str) -> Iterator[gzip.GzipFile | _Packed]:
    if packing == "gz":
        with gzip.open(path) as file:
            yield file
        return
    command = module_command("factory_assets.web.auditor.plain_bytes", str(path))
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield _Packed(process)
        finally:
            process.kill()
