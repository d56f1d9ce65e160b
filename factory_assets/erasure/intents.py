"""What is still to be done of an erasure: a file with personal values, which goes at the end."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from factory_resources.erasure.manifest import (
    FINISH,
    ErasureManifest,
    intent_file,
    manifest_file,
    stored_intents,
)
from factory_resources.erasure.values import Value
from factory_resources.errors import StorageError
from factory_resources.home.home import Home, storage_errors, unreadable
from factory_resources.ledger.erasure_entries import ErasureBegun, ErasureDone
from factory_resources.ledger.ledger import Ledger

ValueKind = Literal["str", "int", "float", "date", "datetime"]

_READ: Mapping[ValueKind, Callable[[str], Value]] = {
    "str": str,
    "int": int,
    "float": float,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
}


def stored(value: Value) -> tuple[ValueKind, str]:
    """Return a value as an intent stores it."""
    kind = type(value).__name__
    written = value.isoformat() if isinstance(value, date) else str(value)
    return cast(ValueKind, kind), written


class ErasureIntent(BaseModel):
    """What is needed to finish an erasure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    manifest: ErasureManifest
    records: Mapping[str, str]
    """Path to the content of each record as it will be."""
    partitions: Mapping[str, tuple[str, ...]]
    """Pipeline to the keys of partitions that go."""
    where: str
    values: tuple[tuple[ValueKind, str], ...]
    """What is searched for afterwards."""
    not_searched: int
    """How many values are too short to be searched for."""
    matched: Mapping[str, tuple[tuple[ValueKind, str], ...]] = {}
    """The values of the columns that the expression names, by column."""

    @property
    def searched(self) -> list[Value]:
        return _read(self.values)

    @property
    def known(self) -> dict[str, list[Value]]:
        """By column, what commitments in the log of answers are recognised by."""
        return {column: _read(values) for column, values in self.matched.items()}


def _read(values: Iterable[tuple[ValueKind, str]]) -> list[Value]:
    return [_READ[kind](text) for kind, text in values]


def stored_matches(matched: Mapping[str, Iterable[object]]) -> dict[str, tuple[Any, ...]]:
    """Return values by column as an intent stores them, without those of other types."""
    return {
        column: tuple(stored(cast(Value, one)) for one in some if type(one).__name__ in _READ)
        for column, some in matched.items()
    }


def store_intent(intent: ErasureIntent, home: Home) -> None:
    home.write_durable(intent_file(home, intent.manifest.id), intent.model_dump_json().encode())


def store_manifest(manifest: ErasureManifest, home: Home) -> None:
    """Store the manifest; also one that was lost before the erasure was finished."""
    home.write_durable(manifest_file(home, manifest.id), manifest.content)


def unfinished(home: Home) -> Iterator[ErasureIntent]:
    """Yield the erasures that were entered and are not done, in the order of their ids.

    What is left of one that was never entered is removed, and of one that was overwritten when it
    was done.

    Raises:
        StorageError: an intent was damaged.
    """
    remove_unentered(home)
    for path in stored_intents(home):
        try:
            yield ErasureIntent.model_validate_json(path.read_bytes())
        except OSError as error:
            raise unreadable(path, error) from error
        except ValidationError as error:
            if _is_done(path.stem, home):
                destroy(path)
                continue
            raise StorageError(
                "the list of what is still to be erased cannot be read",
                where=str(path),
                remedy="it is in no backup: remove this file, then erase the same person again",
            ) from error


def remove_unentered(home: Home) -> None:
    """Remove what is left of erasures that were killed before they were entered."""
    for path in intent_file(home, "").parent.glob(".*"):
        # A kill came while it was written.
        destroy(path)
    for path in stored_intents(home):
        subject = ErasureBegun.subject_of(erasure=path.stem)
        if Ledger(home).latest(ErasureBegun, subject) is None:
            manifest_file(home, path.stem).unlink(missing_ok=True)
            destroy(path)


def _is_done(erasure: str, home: Home) -> bool:
    return Ledger(home).latest(ErasureDone, ErasureDone.subject_of(erasure=erasure)) is not None


def require_finished(home: Home) -> None:
    """Require that no erasure is at work, or was killed: the home is between two states then.

    Raises:
        StorageError: one is or was.
    """
    if stored_intents(home):
        raise StorageError(
            "an erasure is not finished",
            where=str(home.path),
            remedy=FINISH,
        )


def destroy(path: Path) -> None:
    """Overwrite a file, then remove it."""
    with storage_errors(path):
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
