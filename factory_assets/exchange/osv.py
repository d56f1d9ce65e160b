"""Advisories in the format of OSV (1.7), from a folder or zip archive, as published for PyPI.

Which distributions they are about belongs in `advisories`. The files come from elsewhere: whatever
is in them ends in a record, or in one line of error.
"""

import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from factory_resources.errors import SourceError

_RECORD_BYTES = 8 * 1024 * 1024
_RECORDS = 1_000_000
_ALL_BYTES = 4 * 1024**3

_Text = Annotated[str, Field(max_length=100_000)]


class _Osv(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class OsvEvent(_Osv):
    """One event of a range; exactly one of these is set."""

    introduced: _Text | None = None
    """`0` is before every version."""
    fixed: _Text | None = None
    last_affected: _Text | None = None
    limit: _Text | None = None


class OsvRange(_Osv):
    """A range of versions, or of commits if its type is `GIT`."""

    type: _Text
    events: tuple[OsvEvent, ...]


class OsvPackage(_Osv):
    """A package of an ecosystem."""

    ecosystem: _Text
    name: _Text


class OsvAffected(_Osv):
    """Which versions of one package are affected: by ranges, by a list, or both."""

    package: OsvPackage | None = None
    ranges: tuple[OsvRange, ...] = ()
    versions: tuple[_Text, ...] = ()


class OsvRecord(_Osv):
    """One advisory."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    modified: AwareDatetime
    withdrawn: AwareDatetime | None = None
    aliases: tuple[_Text, ...] = ()
    summary: _Text = ""
    affected: tuple[OsvAffected, ...] = ()


def read_osv(path: Path) -> Iterator[OsvRecord]:
    """Yield every record, in the order of the names of the files.

    Raises:
        SourceError: there is no record, or one cannot be read or is larger than records are.
    """
    contents = _folder_contents(path) if path.is_dir() else _archive_contents(path)
    number, size = 0, 0
    for number, (name, content) in enumerate(contents, 1):
        size += len(content)
        if len(content) > _RECORD_BYTES:
            raise _unreadable(path, f"{name} has more than {_RECORD_BYTES:,} bytes")
        if number > _RECORDS or size > _ALL_BYTES:
            raise _unreadable(path, f"has more than {_RECORDS:,} records or {_ALL_BYTES:,} bytes")
        yield _record(path, name, content)
    if not number:
        raise _unreadable(path, "has no .json file")


def _record(path: Path, name: str, content: bytes) -> OsvRecord:
    try:
        return OsvRecord.model_validate_json(content)
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False, include_input=False)
        place = ".".join(map(str, first["loc"]))
        reason = f"{place}: {first['msg']}" if place else first["msg"]
        raise _unreadable(path, f"{name} is not a record of OSV ({reason})") from error


def _folder_contents(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        for file in sorted(path.rglob("*.json")):
            if file.is_file():
                with file.open("rb") as opened:
                    yield str(file.relative_to(path)), opened.read(_RECORD_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from error


def _archive_contents(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(one for one in archive.namelist() if one.endswith(".json")):
                with archive.open(name) as opened:
                    yield name, opened.read(_RECORD_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, UnicodeDecodeError) as error:
        # The last is that of a name.
        raise _unreadable(path, f"is not a zip archive that can be read ({error})") from error
    except (RuntimeError, NotImplementedError) as error:
        # So zipfile says that a file is encrypted, or compressed in a way that it does not know.
        raise _unreadable(path, f"has a file that cannot be read ({error})") from error


def _unreadable(path: Path, what: str) -> SourceError:
    return SourceError(
        what, where=str(path), remedy="give a folder or .zip of OSV records, as published for PyPI"
    )
