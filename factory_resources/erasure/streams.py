"""Files as bytes to be searched: in pieces that overlap, and what is packed in them.

Unpacked are ZIP files (also `.npz` and skops), gzip, Zstandard, and compressed text in PNG. Tables
and databases have modules of their own.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from factory_resources.errors import StorageError

_PIECE = 4 << 20
"""Bytes that are read at once."""

_MOST_UNPACKED = 1 << 20
"""Bytes of a compressed text in a picture that are looked at."""

_PNG, _ZIP, _ZSTD = b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"

_GZIP = tuple(b"\x1f\x8b\x08" + bytes([flags]) for flags in range(0b100000))
"""With the only method, and without reserved flags: RFC 1952, 2.3.1."""

_KEY_BYTES = 32
"""The length of a key: random bytes, which may begin as any file does."""

HEAD = 8192
"""Bytes by which a file is recognised."""


class Readable(Protocol):
    """What can be read from its beginning to its end."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""


def pieces(file: Readable, overlap: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield content, and from where to where in it a match may begin that was not seen before.

    Args:
        overlap: bytes that a match and what decides about it take at most.
    """
    kept, begin = b"", 0
    while True:
        more = file.read(_PIECE)
        content = kept + more
        end = max(begin, len(content) - overlap) if more else len(content)
        yield content, begin, end
        if not more:
            return
        first = max(0, end - overlap)
        kept, begin = content[first:], end - first


def is_text(head: bytes) -> bool:
    """Whether a file that begins so is text, by the rule of grep: it has no zero byte."""
    return b"\0" not in head


def is_zip(head: bytes) -> bool:
    """Whether a file that begins so is a ZIP file."""
    return head.startswith(_ZIP)


def unpacked(path: Path, head: bytes) -> Iterator[tuple[str, Readable]]:
    """Yield the names and the content of what is packed in a file, to be read before the next one.

    Call it within `unpacking_errors`, which translates what it and reading raise.
    """
    reader = next((read for magic, read in _READERS.items() if head.startswith(magic)), None)
    if reader is not None:
        yield from reader(path)


@contextmanager
def unpacking_errors(path: Path) -> Iterator[None]:
    """Reduce what unpackers raise to one line.

    Raises:
        StorageError: the file is damaged, or encrypted; unless it is as long as a key.
    """
    try:
        yield
    except _damages() as error:
        if path.stat().st_size == _KEY_BYTES:
            return
        raise StorageError(
            "it is damaged or encrypted, so its contents cannot be searched",
            where=str(path),
            remedy="restore it from a backup, or remove it",
        ) from error


def _damages() -> tuple[type[Exception], ...]:
    # Loaded here: most homes have no such file.
    import lzma
    import zipfile

    return (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        struct.error,
        EOFError,
        OSError,
        # A password is needed, or another way of compression.
        RuntimeError,
        # Of a name in an archive.
        UnicodeDecodeError,
    )


def _zip(path: Path) -> Iterator[tuple[str, Readable]]:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as file:
                yield member.filename, file


def _gzip(path: Path) -> Iterator[tuple[str, Readable]]:
    import gzip

    with gzip.open(path, "rb") as file:
        yield "unpacked", file


def _zstd(path: Path) -> Iterator[tuple[str, Readable]]:
    import pyarrow

    with pyarrow.input_stream(str(path), compression="zstd") as file:
        yield "unpacked", file


def _png(path: Path) -> Iterator[tuple[str, Readable]]:
    """Yield the compressed texts of a picture: its chunks `zTXt` and `iTXt`."""
    import io

    content = path.read_bytes()
    at = len(_PNG)
    while at + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        chunk = content[at + 8 : at + 8 + length]
        if packed := _packed_text(kind, chunk):
            text = zlib.decompressobj().decompress(packed, _MOST_UNPACKED)
            yield kind.decode(), io.BytesIO(text)
        at += length + 12


def _packed_text(kind: bytes, chunk: bytes) -> bytes:
    """Return the compressed text of a chunk; empty if it has none.

    The fields are those of the specification of PNG, third edition, 11.3.3.
    """
    _, _, fields = chunk.partition(b"\0")
    if kind == b"zTXt":
        # Behind its keyword stands the method of compression, of which there is one.
        return fields[1:]
    if kind == b"iTXt" and fields[:1] == b"\1":
        # A language and the translated keyword, each with a zero byte behind it.
        return fields[2:].split(b"\0", 2)[-1]
    return b""


_READERS: dict[bytes | tuple[bytes, ...], Callable[[Path], Iterator[tuple[str, Readable]]]] = {
    _ZIP: _zip,
    _GZIP: _gzip,
    _ZSTD: _zstd,
    _PNG: _png,
}
