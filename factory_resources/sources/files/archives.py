"""Files inside others: a zip's member, or gz and zst, unpacked into scratch and bounded in size."""

import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO, Any

from factory_resources.errors import SourceError
from factory_resources.home.home import storage_errors

LARGEST = 200 * 1024**3
"""Bytes that one packed file may grow to: beyond it, it is taken for a bomb."""

_RATIO = 500
"""How many times its size it may grow; text grows tenfold, a bomb in one layer 1032-fold."""

_HARMLESS = 256 * 1024**2
"""Bytes that it may grow to however small it is."""


def take_member(path: Path, name: str, member: str | None, scratch: Path) -> tuple[Path, str]:
    """Unzip the one member that `member` (a glob) names, or the only one there is.

    Returns:
        Where its bytes are now, and its name without folders.

    Raises:
        SourceError: not a zip, encrypted, damaged, too large, not exactly one member fits, or it
            is no plain file inside the zip.
    """
    target = scratch / "member"
    with _damages(name), zipfile.ZipFile(path) as archive:
        info = _choose(archive, name, member)
        _require_plain(info, name)
        with archive.open(info) as packed:
            size = _copy(packed, target, name, _most(info.compress_size, scratch))
        if size != info.file_size:
            raise zipfile.BadZipFile(f"{size:,} bytes instead of {info.file_size:,}")
    return target, PurePosixPath(info.filename).name


def _choose(archive: zipfile.ZipFile, name: str, member: str | None) -> zipfile.ZipInfo:
    # macOS adds a shadow of every file.
    infos = [
        info
        for info in archive.infolist()
        if not info.filename.endswith("/") and not info.filename.startswith("__MACOSX/")
    ]
    fits = [info for info in infos if member is None or _fits(info.filename, member)]
    if len(fits) == 1:
        return fits[0]
    if fits and len({info.filename for info in fits}) == 1:
        raise SourceError(
            f"the zip has {len(fits)} members named {fits[0].filename!r}",
            where=name,
            remedy="make it again with one of them",
        )
    names = ", ".join(info.filename for info in infos[:20]) or "nothing"
    asked = f"{len(fits)} members match {member!r}" if member else f"{len(infos)} members"
    raise SourceError(
        f"the zip has {asked}, not one", where=name, remedy=f"set source.member to one of: {names}"
    )


def _fits(filename: str, member: str) -> bool:
    return fnmatch(filename, member) or fnmatch(PurePosixPath(filename).name, member)


def _require_plain(info: zipfile.ZipInfo, name: str) -> None:
    """Nothing is ever written by a member's name; but one that leads out is no honest zip."""
    parts = info.filename.replace("\\", "/").split("/")
    kind = stat.S_IFMT(info.external_attr >> 16)
    fault = None
    if ".." in parts or not parts[0] or re.match("[A-Za-z]:", info.filename):
        fault = f"member {info.filename!r} leads out of the zip"
    elif kind == stat.S_IFLNK:
        fault = f"member {info.filename!r} is a symbolic link"
    elif kind not in {0, stat.S_IFREG}:
        fault = f"member {info.filename!r} is no regular file"
    elif info.flag_bits & 1:
        fault = f"member {info.filename!r} is encrypted"
    if fault:
        raise SourceError(fault, where=name, remedy="make the zip again with the plain file in it")


def unpack(path: Path, name: str, packing: str, scratch: Path) -> Path:
    """Unpack a gz or zst file; every checksum in it is checked.

    Raises:
        SourceError: damaged or too large.
    """
    target = scratch / "unpacked"
    with _damages(name), _opened(path, packing) as packed:
        _copy(packed, target, name, _most(path.stat().st_size, scratch))
    return target


def first_bytes(path: Path, name: str, packing: str, count: int) -> bytes:
    """The first `count` bytes of a plain, gz or zst file, or all that there are.

    Raises:
        SourceError: damaged.
    """
    with _damages(name), _opened(path, packing) as packed:
        found: bytes = packed.read(count)
        return found


def _opened(path: Path, packing: str) -> Any:
    import pyarrow

    codec = {"plain": None, "gz": "gzip", "zst": "zstd"}[packing]
    return pyarrow.input_stream(str(path), compression=codec)


def _most(packed: int, scratch: Path) -> int:
    # Others need the disk as well.
    return min(LARGEST, max(_HARMLESS, packed * _RATIO), shutil.disk_usage(scratch).free // 2)


def _copy(packed: IO[bytes] | Any, target: Path, name: str, largest: int) -> int:
    size = 0
    with storage_errors(target), target.open("wb") as file:
        while chunk := _read(packed, name):
            size += len(chunk)
            if size > largest:
                raise SourceError(
                    f"unpacks to more than {largest:,} bytes",
                    where=name,
                    remedy="check where it comes from; if it is meant, unpack it yourself",
                )
            file.write(chunk)
    return size


def _read(packed: IO[bytes] | Any, name: str) -> bytes:
    # Apart from writing, so that a damaged file is not blamed on the disk.
    with _damages(name):
        found: bytes = packed.read(1 << 20)
        return found


@contextmanager
def _damages(name: str) -> Iterator[None]:
    """Turn what the unpackers say into one line.

    Raises:
        SourceError: in place of it.
    """
    import lzma
    import struct
    import zlib

    import pyarrow

    try:
        yield
    except NotImplementedError as error:
        raise SourceError(
            f"cannot be unpacked ({error})", where=name, remedy="pack it with deflate"
        ) from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        struct.error,
        pyarrow.ArrowException,
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
    ) as error:
        raise SourceError(
            f"is damaged or cut short ({str(error)[:100]})",
            where=name,
            remedy="fetch the file again",
        ) from error
