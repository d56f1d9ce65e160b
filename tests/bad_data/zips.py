"""Zips with paths, links, wrong sizes, repeated members, encryption; bombs in every packing."""

import gzip
import io
import stat
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.bad_data.case import Case, Refused, Rows

_DATA = b"n,y\n1,2\n"
_READ = Rows({"n": [1], "y": [2]})
_BOMB = 400 * 1024**2
"""Bytes that a bomb unpacks to; more would take longer and prove no more."""
_PIECE = b"\n" * 4 * 1024**2
_EXPLODES = Refused("unpacks to more than", "unpack it yourself")


def _zip(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(target, "w", method) as archive:
        warnings.simplefilter("ignore")  # one name twice
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            archive.writestr(info, content)
    return target.getvalue()


def _linked(to: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        info = zipfile.ZipInfo("d.csv")
        info.create_system = 3
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, to)
    return target.getvalue()


def _encrypted() -> bytes:
    """Return a zip whose two headers have the flag for encryption."""
    content = bytearray(_zip(("d.csv", _DATA)))
    for magic, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(magic) + at] |= 1
    return bytes(content)


def _lying(size: int) -> bytes:
    """Return a zip whose central directory states a wrong size."""
    content = bytearray(_zip(("d.csv", b"n,y\n" + b"1,2\n" * 1000)))
    at = content.index(b"PK\1\2") + 24
    content[at : at + 4] = size.to_bytes(4, "little")
    return bytes(content)


def _of_method(number: int) -> bytes:
    content = bytearray(_zip(("d.csv", _DATA)))
    for magic, at in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        content[content.index(magic) + at] = number
    return bytes(content)


def _patched(content: bytes, method: int, size: int) -> bytes:
    """Declare a stored member as packed by `method`, with `size` bytes when unpacked."""
    changed = bytearray(content)
    for magic, at in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        start = changed.index(magic)
        changed[start + at] = method
        changed[start + at + 14 : start + at + 18] = size.to_bytes(4, "little")
    return bytes(changed)


def _deflated() -> bytes:
    """Return packed blank lines that do not end the stream: one packed piece, repeated."""
    packer = zlib.compressobj(9, wbits=-15)
    piece = packer.compress(_PIECE) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * (_BOMB // len(_PIECE))


def _zst() -> bytes:
    import pyarrow

    piece: bytes = pyarrow.compress(_PIECE, codec="zstd", asbytes=True)
    return piece * (_BOMB // len(_PIECE))


def _bomb(name: str, file: str, make: Callable[[], bytes]) -> Case:
    def write(folder: Path) -> None:
        (folder / file).write_bytes(make())

    return Case(f"bomb: {name}", write, _EXPLODES, {"files": f"data/{file}"})


def _case(name: str, content: bytes, expected: Rows | Refused, member: str | None = None) -> Case:
    source = {"files": "data/d.zip"} | ({"member": member} if member else {})
    return Case(f"zip: {name}", {"d.zip": content}, expected, source)


CASES: list[Case] = [
    _case("one member", _zip(("d.csv", _DATA)), _READ),
    _case("a member in a folder", _zip(("a/b/d.csv", _DATA)), _READ),
    _case(
        "a member in a folder above", _zip(("../../d.csv", _DATA)), Refused("leads out of the zip")
    ),
    _case(
        "a member in a folder above, by way of a folder",
        _zip(("a/../../d.csv", _DATA)),
        Refused("leads out of the zip"),
    ),
    _case("a member with an absolute path", _zip(("/tmp/d.csv", _DATA)), Refused("leads out")),
    _case("a member named by dots", _zip(("a/..", _DATA)), Refused("leads out of the zip")),
    _case("a member with backslashes", _zip(("..\\..\\d.csv", _DATA)), Refused("leads out")),
    _case("a member on a drive", _zip(("C:\\d.csv", _DATA)), Refused("leads out of the zip")),
    _case(
        "a member in a folder above that is not selected",
        _zip(("../x.txt", b"x"), ("d.csv", _DATA)),
        _READ,
        "d.csv",
    ),
    _case("a link", _linked(b"/etc/passwd"), Refused("is a symbolic link")),
    _case("a link to a member", _linked(b"other.csv"), Refused("is a symbolic link")),
    _case(
        "two members", _zip(("a.csv", _DATA), ("b.csv", _DATA)), Refused("has 2 members, not one")
    ),
    _case("two members, one named", _zip(("a.csv", b"y\n0\n"), ("b.csv", _DATA)), _READ, "b.csv"),
    _case("a file of macOS beside it", _zip((".DS_Store", b"\0\0\1Bud1"), ("d.csv", _DATA)), _READ),
    _case("a name with a dot, named", _zip((".a.csv", _DATA), ("b.csv", b"z")), _READ, ".a.csv"),
    _case("no member of that name", _zip(("a.csv", _DATA)), Refused("0 members matching"), "b.csv"),
    _case("two members match", _zip(("a.csv", _DATA), ("b.csv", _DATA)), Refused("2 members"), "*"),
    _case(
        "two members of one name",
        _zip(("d.csv", _DATA), ("d.csv", b"n,y\n3,4\n")),
        Refused("2 members named 'd.csv'"),
    ),
    _case(
        "two members of one name, selected",
        _zip(("d.csv", _DATA), ("d.csv", b"n,y\n3,4\n")),
        Refused("2 members named 'd.csv'"),
        "d.csv",
    ),
    _case("members that macOS adds", _zip(("d.csv", _DATA), ("__MACOSX/._d.csv", b"\0")), _READ),
    _case("encrypted", _encrypted(), Refused("is encrypted")),
    _case("of an unknown method", _of_method(99), Refused("d.zip")),
    _case(
        "a directory that states too small a size", _lying(8), Refused("is damaged or cut short")
    ),
    _case(
        "a directory that states too large a size",
        _lying(2**31),
        Refused("is damaged or cut short"),
    ),
    _case(
        "a zip inside", _zip(("d.zip", _zip(("d.csv", _DATA)))), Refused("is a zip inside a zip")
    ),
    _case("gz inside", _zip(("d.csv.gz", gzip.compress(_DATA))), _READ),
    _case("folders alone", _zip(("a/", b""), ("b/", b"")), Refused("has 0 members")),
    _case("a member without a name", _zip(("", _DATA)), Refused("d.zip")),
    _case("an empty member", _zip(("d.csv", b"")), Refused("is empty")),
    _case("a member with a name of 5,000 letters", _zip(("x" * 5000 + ".csv", _DATA)), _READ),
    _case(
        "a member with a hostile name",
        _zip(("a\n\x1b[2J.csv", b"n,y\n1\n")),
        Refused("has 1 columns"),
    ),
    _case(
        "a member whose name has no known format",
        _zip(("d.bin", _DATA)),
        Refused("show the format"),
    ),
    _case("a comment before", b"#!/bin/sh\n" + _zip(("d.csv", _DATA)), _READ),
    _case("bzip2", _zip(("d.csv", _DATA), method=zipfile.ZIP_BZIP2), _READ),
    _case("lzma", _zip(("d.csv", _DATA), method=zipfile.ZIP_LZMA), _READ),
    _bomb("zip", "d.zip", lambda: _patched(_zip(("d.csv", _deflated()), method=0), 8, _BOMB)),
    _bomb("gz", "d.csv.gz", lambda: gzip.compress(_PIECE) * (_BOMB // len(_PIECE))),
    _bomb("zst", "d.csv.zst", _zst),
    _bomb("jsonl in gz", "d.jsonl.gz", lambda: gzip.compress(_PIECE) * (_BOMB // len(_PIECE))),
    _bomb("parquet in zst", "d.parquet.zst", _zst),
]
