"""Passwords of people: hashed with argon2id, and checked in the same time whoever is named.

How often somebody may try is decided in `factory_assets.web.door`.
"""

from __future__ import annotations

import json

from factory_resources.errors import KeyFileError, StorageError
from factory_resources.home.home import Home

SHORTEST, LONGEST = 12, 1_000
"""Characters of a password."""


class Passwords:
    """The passwords of one home; the parameters are those of RFC 9106 for little memory."""

    def __init__(self, home: Home) -> None:
        from argon2 import PasswordHasher

        self._home = home
        self._file = home.path / "secrets" / "passwords.json"
        self._hasher = PasswordHasher()
        # Checked if nobody has the name, so that time does not tell who exists.
        self._nobody = self._hasher.hash("nobody has this password")

    def set(self, name: str, password: str) -> None:
        """Give a person a password, in place of an earlier one.

        Raises:
            KeyFileError: it is too short or too long, or not UTF-8.
            StorageError: it cannot be stored.
        """
        if not SHORTEST <= len(password) <= LONGEST:
            raise KeyFileError(
                f"the password has {len(password):,} characters",
                remedy=f"choose one with {SHORTEST} to {LONGEST:,} characters",
            )
        try:
            hashed = self._hasher.hash(password)
        except UnicodeEncodeError as error:
            raise KeyFileError("the password is not UTF-8", remedy="choose another one") from error
        with self._home.lock("passwords"):
            hashes = self._read()
            hashes[name] = hashed
            content = json.dumps(hashes, indent=1, sort_keys=True).encode()
            self._home.write_durable(self._file, content)

    def names(self) -> frozenset[str]:
        """Return who has a password."""
        return frozenset(self._read())

    def is_right(self, name: str, password: str) -> bool:
        """Whether the person has this password; takes some 50 ms and 64 MB either way."""
        from argon2.exceptions import InvalidHashError, VerificationError

        stored = self._read().get(name, self._nobody)
        try:
            self._hasher.verify(stored, password[: LONGEST + 1])
        except (VerificationError, InvalidHashError):
            return False
        return stored is not self._nobody

    def _read(self) -> dict[str, str]:
        try:
            hashes = json.loads(self._file.read_bytes())
            if not all(isinstance(one, str) for one in hashes.values()):
                raise ValueError("a hash is no text")
            return dict(hashes)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError) as error:
            raise StorageError(
                "the passwords were changed and cannot be read",
                where=str(self._file),
                remedy="restore the file from a backup, or remove it and set new passwords",
            ) from error
