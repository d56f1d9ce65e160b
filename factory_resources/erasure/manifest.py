"""The manifest of an erasure: what was erased, without a value and without a name.

It stays in the home, and the ledger has its digest. By it a later run leaves out rows that a source
still has. What is erased, and in which order, belongs in `factory_assets.erasure`.
"""

from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from factory_resources.errors import StorageError
from factory_resources.home.home import Home, unreadable
from factory_resources.sources.files.archives import member_of

FOLDER = "erasures"

_DIGITS = 16
"""Hexadecimal digits that tell the members of a zip from each other."""

RESTORE = (
    "restore it from a backup, or from evidence that was written since; without it, erased rows "
    "would come back (docs/erase.md)"
)
"""What to do about a manifest that is missing, or is not as it was."""

FINISH = "wait until it is; if it was killed, finish it: factory forget --resume"
"""What to do about an erasure that is not finished."""


class ErasedFile(BaseModel):
    """A file of a table that had rows of the person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    """How many rows left."""
    now: str
    """The SHA-256 of the file that replaces it."""


class RewrittenRecord(BaseModel):
    """A record that named such files, or had values of the person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    was: str
    """The SHA-256 of the record before."""
    now: str


class ErasedFrom(BaseModel):
    """What one pipeline had of the person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: Mapping[str, int]
    """Table to the largest number of rows in one of its snapshots."""
    versions: tuple[int, ...]
    """The model versions that learned from them."""
    gone: tuple[int, ...]
    """Those of them whose files had values that only these rows have, and were removed."""
    champion: Literal["kept", "stopped"] | None
    """What became of the version that serves; None if none does, or it did not learn from them."""
    answers: tuple[str, ...]
    """The ids of the requests about the person."""
    partitions: int = 0
    """Partitions that had no other rows: they are gone, with their keys."""


class ErasureManifest(BaseModel):
    """Everything that an erasure took away."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["factory.erasure"] = "factory.erasure"
    version: Literal[1] = 1
    id: str
    """A UUID."""
    sources: Mapping[str, tuple[int, ...]]
    """Key of a source (`source_key`) to the numbers of the rows that were erased, from 1."""
    emptied: tuple[str, ...] = ()
    """Keys of those of them that had no other rows."""
    pipelines: Mapping[str, ErasedFrom]
    files: Mapping[str, ErasedFile]
    """By path in the home."""
    records: Mapping[str, RewrittenRecord]
    """By path in the home."""
    removed: tuple[str, ...]
    """Paths of other files that are removed."""

    @property
    def content(self) -> bytes:
        return self.model_dump_json(indent=1).encode()


def source_key(file: str, name: str) -> str:
    """Return what tells the rows of a source from those of others.

    It is the SHA-256 of the file. The members of a zip have it in common, and each has a row 1, so
    that a digest of the name of the member is added: the name itself may be that of a person.

    Args:
        file: the SHA-256 of the file.
        name: of the source; that of a member of a zip is below that of the zip.
    """
    return _key(file, member) if (member := member_of(name)) else file


def _key(file: str, member: str) -> str:
    return f"{file}/{sha256(f'{file}/{member}'.encode()).hexdigest()[:_DIGITS]}"


def file_of(key: str) -> str:
    """Return the SHA-256 of the file that a key is of."""
    return key.partition("/")[0]


def of_source(keys: Collection[str], file: str, name: str = "") -> set[str]:
    """Return which of the keys are those of a source.

    Earlier versions of the factory had one key for all members of a zip, and left folders out of
    the names of members.

    Args:
        file: the SHA-256 of the file.
        name: of the source; empty for everything in the file.
    """
    if member := member_of(name):
        return {file, _key(file, member), _key(file, member.rpartition("/")[2])} & {*keys}
    return {key for key in keys if file_of(key) == file}


def erased_of(erased: Mapping[str, tuple[int, ...]], file: str, name: str = "") -> tuple[int, ...]:
    """Return the numbers of the erased rows of a source, sorted; arguments as of `of_source`.

    Args:
        erased: by key.
    """
    return tuple(sorted({row for key in of_source(erased, file, name) for row in erased[key]}))


def manifest_file(home: Home, erasure: str) -> Path:
    return home.path / FOLDER / f"{erasure}.json"


def intent_file(home: Home, erasure: str) -> Path:
    """Return the file that says what an erasure must still do; it is removed at the end."""
    return home.path / "secrets" / FOLDER / f"{erasure}.json"


def has_intent(home: Home, erasure: str) -> bool:
    """Whether an erasure is not finished."""
    return intent_file(home, erasure).exists()


def stored_intents(home: Home) -> list[Path]:
    """Return the files of the erasures that are at work, or were killed."""
    return sorted(intent_file(home, "").parent.glob("*.json"))


def manifests(home: Home) -> Iterator[ErasureManifest]:
    """Yield the manifests of a home, in the order of their ids.

    Raises:
        StorageError: one of them was damaged, or cannot be read.
    """
    for path in sorted((home.path / FOLDER).glob("*.json")):
        try:
            yield ErasureManifest.model_validate_json(path.read_bytes())
        except OSError as error:
            raise unreadable(path, error) from error
        except ValidationError as error:
            raise StorageError(
                "the manifest of an erasure is damaged",
                where=str(path),
                remedy=RESTORE,
            ) from error


def is_gone(home: Home, pipeline: str, version: int) -> bool:
    """Whether the files of a model version were removed by an erasure.

    Raises:
        StorageError: a manifest was damaged.
    """
    found = (manifest.pipelines.get(pipeline) for manifest in manifests(home))
    return any(version in erased.gone for erased in found if erased)


def emptied_sources(home: Home) -> frozenset[str]:
    """Return the keys of the sources of which every row was erased.

    Raises:
        StorageError: a manifest was damaged.
    """
    return frozenset(source for manifest in manifests(home) for source in manifest.emptied)


def erased_rows(home: Home, pipeline: str | None = None) -> dict[str, tuple[int, ...]]:
    """Return the numbers of the rows that were erased, sorted, by the key of their source.

    Args:
        pipeline: only of erasures that took rows from this pipeline.

    Raises:
        StorageError: a manifest was damaged.
    """
    found: dict[str, set[int]] = {}
    for manifest in manifests(home):
        if pipeline is not None and pipeline not in manifest.pipelines:
            continue
        for source, rows in manifest.sources.items():
            found.setdefault(source, set()).update(rows)
    return {source: tuple(sorted(rows)) for source, rows in found.items()}
