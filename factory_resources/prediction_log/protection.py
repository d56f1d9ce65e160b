"""Replace sensitive values before they are logged, by a commitment or by an encrypted value.

Each pipeline has a key for each month. Once it is destroyed, the values that it protected can never
be read again, while the log, whose bytes stay, still verifies. Which columns are sensitive is
declared in the contract.
"""

import base64
import hmac
import os
import re
import secrets
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

import msgspec

from factory_resources.durability import sync_path
from factory_resources.errors import RefusedError, StorageError
from factory_resources.home.home import Home, storage_errors

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Mode = Literal["commitment", "encrypted"]

_KEY, _DESTROYED = ".key", ".destroyed"
_KEY_BYTES, _NONCE_BYTES = 32, 12
_MONTH = re.compile(r"\d{4}-\d{2}")


class UnreadableCellError(StorageError):
    """A cell of the log that nobody can read: its key was destroyed, or it is no value that its
    pipeline encrypted in its month."""


@dataclass(frozen=True)
class _Keys:
    """The secrets that are derived from the key of a month, one for each use."""

    committing: bytes
    cipher: "AESGCM"
    associated_data: bytes
    """Authenticated with a value, so that it cannot be moved to another pipeline or month."""


class Protection:
    """Protects the values of one pipeline; used by one thread.

    Args:
        mode: with `commitment` nobody can read a value, but whoever knows it can show that it was
            this one; with `encrypted` whoever has the key can read it.

    Raises:
        StorageError: a key cannot be read or written, or was destroyed.
    """

    def __init__(self, home: Home, pipeline: str, mode: Mode) -> None:
        self._home, self._pipeline, self._mode = home, pipeline, mode
        self._keys: dict[str, _Keys] = {}

    def protect(self, value: object, time: int) -> dict[str, str]:
        """Return the object that is logged in place of a value.

        Args:
            value: a value of JSON.
            time: of the record, in microseconds since 1970.
        """
        keys = self._of_month(month_of(time), create=True)
        content = msgspec.json.encode(value, order="sorted")
        if self._mode == "commitment":
            return {"commitment": _commitment(keys, content)}
        nonce = os.urandom(_NONCE_BYTES)
        encrypted = nonce + keys.cipher.encrypt(nonce, content, keys.associated_data)
        return {"encrypted": base64.b64encode(encrypted).decode()}

    def reveal(self, protected: Mapping[str, str], time: int) -> Any:
        """Return a value that was encrypted.

        Raises:
            UnreadableCellError: it is not an encrypted value of this pipeline and month, or its key
                was destroyed.
            StorageError: the key cannot be read.
        """
        from cryptography.exceptions import InvalidTag

        keys = self._of_month(month_of(time), create=False)
        try:
            encrypted = base64.b64decode(protected["encrypted"], validate=True)
            nonce, content = encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:]
            return msgspec.json.decode(keys.cipher.decrypt(nonce, content, keys.associated_data))
        except (InvalidTag, KeyError, ValueError) as error:
            raise UnreadableCellError(
                f"this is not a value that {self._pipeline} encrypted in {month_of(time)}",
                remedy="factory verify shows what was changed; a commitment cannot be read",
            ) from error

    def read(self, cell: Mapping[str, str], time: int) -> Any:
        """Return the value of a protected cell; None if nobody can read it, as of a commitment.

        Raises:
            StorageError: the key cannot be read.
        """
        try:
            return self.reveal(cell, time)
        except UnreadableCellError:
            return None

    def matches(self, value: object, protected: Mapping[str, str], time: int) -> bool:
        """Whether a commitment is to this value."""
        keys = self._of_month(month_of(time), create=False)
        content = msgspec.json.encode(value, order="sorted")
        return hmac.compare_digest(_commitment(keys, content), protected.get("commitment", ""))

    def commitments(self, values: Iterable[object], time: int) -> dict[str, Any]:
        """Return values by the commitments to them in the month of a time.

        Raises:
            StorageError: there is no key of that month.
        """
        keys = self._of_month(month_of(time), create=False)
        return {
            _commitment(keys, msgspec.json.encode(value, order="sorted")): value for value in values
        }

    def _of_month(self, month: str, *, create: bool) -> _Keys:
        if month not in self._keys:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            key = _load(self._home, self._pipeline, month, create=create)
            self._keys[month] = _Keys(
                _derived(key, b"commitment"),
                AESGCM(_derived(key, b"encryption")),
                f"{self._pipeline}/{month}".encode(),
            )
        return self._keys[month]


def _commitment(keys: _Keys, content: bytes) -> str:
    return hmac.digest(keys.committing, content, "sha256").hex()


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, purpose, sha256)


def is_protected(cell: object) -> TypeGuard[Mapping[str, str]]:
    """Whether a cell of a logged row stands for a value that is hidden.

    Callers could once have objects logged that only look so: see `UnreadableCellError`.
    """
    if not isinstance(cell, Mapping) or len(cell) != 1:
        return False
    [(name, text)] = cell.items()
    return name in ("commitment", "encrypted") and isinstance(text, str)


def month_of(time: int) -> str:
    """Return the month whose key protects a record, such as `2026-03`, in UTC.

    Args:
        time: of the record, in microseconds since 1970.
    """
    return datetime.fromtimestamp(time // 1_000_000, UTC).strftime("%Y-%m")


def keys_folder(home: Home, pipeline: str) -> Path:
    """Return the folder of the keys of a pipeline, which has a file for each month."""
    return home.path / "secrets" / "predictions" / pipeline


def protected_pipelines(home: Home) -> list[str]:
    """Return the names of the pipelines that have, or had, a key."""
    return [folder.name for folder in keys_folder(home, "").glob("*") if folder.is_dir()]


def is_destroyed(home: Home, pipeline: str, time: int) -> bool:
    """Whether the key of the month of a time was destroyed.

    Args:
        time: of the record, in microseconds since 1970.
    """
    return (keys_folder(home, pipeline) / f"{month_of(time)}{_DESTROYED}").exists()


def has_key(home: Home, pipeline: str, time: int) -> bool:
    """Whether the key of the month of a time is there: nothing is protected without one.

    Args:
        time: of the record, in microseconds since 1970.
    """
    return _key_file(home, pipeline, month_of(time)).exists()


def _key_file(home: Home, pipeline: str, month: str) -> Path:
    return keys_folder(home, pipeline) / f"{month}{_KEY}"


def _load(home: Home, pipeline: str, month: str, *, create: bool) -> bytes:
    path = _key_file(home, pipeline, month)
    if create and not path.exists():
        with home.lock("prediction_keys"):
            if not path.exists() and not path.with_suffix(_DESTROYED).exists():
                # A value must not outlive its key.
                home.write_durable(path, secrets.token_bytes(_KEY_BYTES))
    try:
        if path.stat().st_mode & 0o077:
            raise StorageError(
                "other users can read a key of the prediction log",
                where=str(path),
                remedy=f"close it: chmod 600 {shlex.quote(str(path))}",
            )
        key = path.read_bytes()
        if len(key) != _KEY_BYTES:
            raise ValueError("it is damaged")
        return key
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError | ValueError) -> StorageError:
    if path.with_suffix(_DESTROYED).exists():
        return UnreadableCellError(
            f"the key of {path.stem} was destroyed",
            where=str(path),
            remedy="what it protected is unreadable for ever; the ledger says why",
        )
    why = error.strerror if isinstance(error, OSError) else error
    return StorageError(
        f"a key of the prediction log cannot be read ({why})",
        where=str(path),
        remedy="restore it from a backup; without it nobody can read what it protected",
    )


def destroy_keys(home: Home, pipeline: str, until: date, reason: str) -> list[str]:
    """Destroy the keys of the months before a day, and enter that in the ledger first.

    Returns:
        The months, such as `2026-03`.

    Raises:
        RefusedError: the day is in the future: a server may be using the key of its month.
        StorageError: the disk or the ledger cannot be written.
    """
    if until > datetime.now(UTC).date():
        raise RefusedError(
            f"{until.isoformat()} is in the future", remedy="name today or an earlier day"
        )
    with home.lock("prediction_keys"):
        paths = [
            path
            for path in sorted(keys_folder(home, pipeline).glob(f"*{_KEY}"))
            if _MONTH.fullmatch(path.stem) and path.stem < until.strftime("%Y-%m")
        ]
        months = [path.stem for path in paths]
        if paths:
            enter_destroyed(home, pipeline, months, reason)
        for path in paths:
            home.write_atomic(path.with_suffix(_DESTROYED), b"")
            _destroy(path)
    return months


def enter_destroyed(home: Home, pipeline: str, months: list[str], reason: str) -> None:
    """Append the entry that keys are destroyed."""
    from factory_resources.ledger.ledger import Ledger
    from factory_resources.ledger.prediction_entries import PredictionKeysDestroyed

    entry = PredictionKeysDestroyed(
        subject=PredictionKeysDestroyed.subject_of(pipeline=pipeline),
        pipeline=pipeline,
        months=tuple(months),
        reason=reason,
    )
    Ledger(home).append([entry])


def _destroy(path: Path) -> None:
    """Overwrite a key, then remove it."""
    with storage_errors(path):
        with path.open("r+b") as file:
            file.write(bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        sync_path(path.parent)
