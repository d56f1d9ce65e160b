"""Files inside others: a zip's member, or gz and zst, unpacked into scratch and bounded in size."""

import zipfile
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO, Any

from factory_resources.errors import SourceError
from factory_resources.home import storage_errors

LARGEST = 200 * 1024**3
"""Bytes that one packed file may grow to: beyond it, it is taken for a bomb."""
_RATIO = 1100
"""Deflate cannot do better than 1032 to 1, so a zip that promises more lies."""


def take_member(path: Path, name: str, member: str | None, scratch: Path) -> Path:
    """Unzip the one member that `member` (a glob) names, or the only one there is.

    Raises:
        SourceError: not a zip, encrypted, damaged, too large, or not exactly one member fits.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            info = _choose(archive, name, member)
            target = scratch / PurePosixPath(info.filename).name
            with archive.open(info) as packed:
                _copy(packed, target, name, min(LARGEST, info.compress_size * _RATIO + 1024))
            return target
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise _damaged(name, error) from error


def _choose(archive: zipfile.ZipFile, name: str, member: str | None) -> zipfile.ZipInfo:
    # macOS adds a shadow of every file.
    infos = [
        info
        for info in archive.infolist()
        if not info.is_dir() and not info.filename.startswith("__MACOSX/")
    ]
    fits = [info for info in infos if member is None or _fits(info.filename, member)]
    if len(fits) != 1:
        names = ", ".join(info.filename for info in infos[:20]) or "nothing"
        asked = f"{len(fits)} members match {member!r}" if member else f"{len(infos)} members"
        raise SourceError(
            f"the zip has {asked}, not one",
            where=name,
            remedy=f"set source.member to one of: {names}",
        )
    return fits[0]


def _fits(filename: str, member: str) -> bool:
    return fnmatch(filename, member) or fnmatch(PurePosixPath(filename).name, member)


def unpack(path: Path, name: str, packing: str, scratch: Path) -> Path:
    """Unpack a gz or zst file, for the formats that cannot be read through it.

    Raises:
        SourceError: damaged or too large.
    """
    import pyarrow

    target = scratch / path.stem
    codec = {"gz": "gzip", "zst": "zstd"}[packing]
    try:
        with pyarrow.input_stream(str(path), compression=codec) as packed:
            _copy(packed, target, name, LARGEST)
    except (OSError, pyarrow.ArrowException) as error:
        raise _damaged(name, error) from error
    return target


def _copy(packed: IO[bytes] | Any, target: Path, name: str, largest: int) -> None:
    size = 0
    with storage_errors(target), target.open("wb") as file:
        while chunk := _read(packed, name):
            size += len(chunk)
            if size > largest:
                raise SourceError(
                    f"unpacks to more than {largest:,} bytes",
                    where=name,
                    remedy="check where the file comes from",
                )
            file.write(chunk)


def _read(packed: IO[bytes] | Any, name: str) -> bytes:
    # Apart from writing, so that a damaged file is not blamed on the disk.
    import zlib

    try:
        return packed.read(1 << 20)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> SourceError:
    return SourceError(
        f"is damaged or cut short ({error})", where=name, remedy="fetch the file again"
    )
