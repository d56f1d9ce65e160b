"""Unpack a zip's member or a gz or zst file into scratch, up to a limit of size."""

import re
import shutil
import stat
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO, Any

from factory_resources.errors import SourceError
from factory_resources.home.home import storage_errors
from factory_resources.sources.files.discovery import is_hidden

LARGEST = 200 * 1024**3
"""Bytes that a packed file may unpack to; a larger one is taken for a zip bomb."""

_RATIO = 500
"""Times its size that a packed file may grow; text grows tenfold, a one-layer bomb 1032-fold."""

_HARMLESS = 256 * 1024**2
"""Bytes that a packed file may unpack to, however small it is."""


def take_member(path: Path, name: str, member: str | None, scratch: Path) -> tuple[Path, str]:
    """Unzip the member that `member` (a name or a glob) matches, or the only one.

    Returns:
        The path of the unpacked member, and its name with the folders that it has in the zip.

    Raises:
        SourceError: the file is not a zip, encrypted, damaged or too large; not exactly one member
            matches; or it is not a regular file inside the zip.
    """
    target = scratch / "member"
    with _unpacking_errors(name), zipfile.ZipFile(path) as archive:
        info = _choose(archive, name, member)
        _require_plain(info, name)
        with archive.open(info) as packed:
            size = _copy(packed, target, name, _size_limit(info.compress_size, scratch))
        if size != info.file_size:
            raise zipfile.BadZipFile(f"{size:,} bytes instead of {info.file_size:,}")
    return target, info.filename


def chosen_member(path: Path, name: str, member: str | None) -> str:
    """Return the name of what `take_member` would unzip; raises as it does."""
    with _unpacking_errors(name), zipfile.ZipFile(path) as archive:
        return _choose(archive, name, member).filename


def zip_members(path: Path, name: str) -> list[zipfile.ZipInfo]:
    """Return the files in a zip.

    Raises:
        SourceError: it is not a zip, or damaged.
    """
    with _unpacking_errors(name), zipfile.ZipFile(path) as archive:
        return _files(archive)


def _files(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    # macOS adds a metadata file for every file.
    return [
        info
        for info in archive.infolist()
        if not info.filename.endswith("/") and not info.filename.startswith("__MACOSX/")
    ]


def _choose(archive: zipfile.ZipFile, name: str, member: str | None) -> zipfile.ZipInfo:
    everything = _files(archive)
    infos = [info for info in everything if _is_shown(info, member or "*")]
    # A whole name comes before a glob, since a name may have brackets, or end as another one does.
    fits = [info for info in everything if info.filename == member] or [
        info for info in infos if _matches(info.filename, member)
    ]
    if len(fits) == 1:
        return fits[0]
    if fits and len({info.filename for info in fits}) == 1:
        raise SourceError(
            f"the zip has {len(fits)} members named {fits[0].filename!r}",
            where=name,
            remedy="create it again with one of them",
        )
    if not infos:
        raise SourceError("the zip has 0 members", where=name, remedy="fetch it again")
    names = ", ".join(info.filename for info in infos[:20])
    members = f"{len(fits)} members matching {member!r}" if member else f"{len(infos)} members"
    raise SourceError(
        f"the zip has {members}, not one",
        where=name,
        remedy=f"set source.member to one of: {names}",
    )


def _is_shown(info: zipfile.ZipInfo, member: str) -> bool:
    """Whether a glob may match a file: not if its name begins with a dot and leads nowhere."""
    name = info.filename.rpartition("/")[2]
    return name.startswith("..") or not is_hidden(name, member)


def _matches(filename: str, member: str | None) -> bool:
    """Whether a glob matches the name of a member, with its folders or without them."""
    if member is None:
        return True
    return fnmatch(filename, member) or fnmatch(PurePosixPath(filename).name, member)


def member_of(name: str) -> str:
    """Return the member that a source of this name is; empty if it is none of a zip."""
    parts = name.split("/")
    ends = [i for i, part in enumerate(parts[:-1], 1) if part.lower().endswith(".zip")]
    return "/".join(parts[ends[-1] :]) if ends else ""


def _require_plain(info: zipfile.ZipInfo, name: str) -> None:
    """Refuse a member that is not a regular file inside the zip.

    A member's name is never used as a path, but a zip with a name that leads out is not trusted.
    """
    parts = info.filename.replace("\\", "/").split("/")
    kind = stat.S_IFMT(info.external_attr >> 16)
    fault = None
    if ".." in parts or not parts[0] or re.match("[A-Za-z]:", info.filename):
        fault = f"member {info.filename!r} leads out of the zip"
    elif kind == stat.S_IFLNK:
        fault = f"member {info.filename!r} is a symbolic link"
    elif kind not in {0, stat.S_IFREG}:
        fault = f"member {info.filename!r} is not a regular file"
    elif info.flag_bits & 1:
        fault = f"member {info.filename!r} is encrypted"
    if fault:
        raise SourceError(
            fault, where=name, remedy="create the zip again with the plain file in it"
        )


def unpack(path: Path, name: str, packing: str, scratch: Path) -> Path:
    """Unpack a gz or zst file and verify every checksum in it.

    Raises:
        SourceError: the file is damaged or too large.
    """
    target = scratch / "unpacked"
    with _unpacking_errors(name), _opened(path, packing) as packed:
        _copy(packed, target, name, _size_limit(path.stat().st_size, scratch))
    return target


def first_bytes(path: Path, name: str, packing: str, count: int) -> bytes:
    """Return the first `count` bytes of a plain, gz or zst file, or all if there are fewer.

    Raises:
        SourceError: the file is damaged.
    """
    with _unpacking_errors(name), _opened(path, packing) as packed:
        content: bytes = packed.read(count)
        return content


def _opened(path: Path, packing: str) -> Any:
    if packing == "plain":
        return path.open("rb")
    import pyarrow

    return pyarrow.input_stream(str(path), compression={"gz": "gzip", "zst": "zstd"}[packing])


def _size_limit(packed: int, scratch: Path) -> int:
    # Half of the free disk space, since others need it as well.
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
                    remedy="check where it comes from; if its size is right, unpack it yourself",
                )
            file.write(chunk)
    return size


def _read(packed: IO[bytes] | Any, name: str) -> bytes:
    # Apart from writing, so that a damaged file is not reported as a fault of the disk.
    with _unpacking_errors(name):
        chunk: bytes = packed.read(1 << 20)
        return chunk


def _damage_exceptions() -> tuple[type[Exception], ...]:
    """Return the exceptions that unpackers raise for damaged files."""
    import lzma
    import struct
    import zlib

    # Arrow can raise its own exceptions only if it was imported.
    arrow = sys.modules.get("pyarrow")
    return (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        struct.error,
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        *((arrow.ArrowException,) if arrow else ()),
    )


@contextmanager
def _unpacking_errors(name: str) -> Iterator[None]:
    """Reduce the unpackers' errors to one line.

    Raises:
        SourceError: in place of them.
    """
    try:
        yield
    except NotImplementedError as error:
        raise SourceError(
            f"cannot be unpacked ({error})", where=name, remedy="pack it with deflate"
        ) from error
    except _damage_exceptions() as error:
        raise SourceError(
            f"is damaged or cut short ({str(error)[:100]})",
            where=name,
            remedy="fetch the file again",
        ) from error
