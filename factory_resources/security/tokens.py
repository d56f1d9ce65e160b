"""Tokens by which programs call the prediction server: made once, kept as hashes.

What a caller may ask for is decided in `serving.http`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from math import isfinite

from factory_resources.errors import KeyFileError, StorageError, UnknownNameError
from factory_resources.home.file_stamp import FileStamp, file_stamp
from factory_resources.home.home import Home, unreadable
from factory_resources.security.sessions import hash_of

_PREFIX = "factory_"

_BYTES = 32

_LONGEST = 200
"""Characters of a name, which every logged answer repeats."""


@dataclass(frozen=True)
class Token:
    """A caller of the prediction server."""

    name: str
    pipelines: tuple[str, ...]
    sha256: str
    """Of the token. It is random and long, so that a plain hash cannot be guessed."""
    expires: str
    """UTC, ISO 8601."""
    rate: float | None = None
    """Requests a second; None for no limit."""
    revoked: bool = False

    @property
    def is_valid(self) -> bool:
        """Whether it is neither revoked nor expired."""
        return not self.revoked and datetime.now(UTC).isoformat() < self.expires

    def may_call(self, pipeline: str) -> bool:
        """Whether it counts for a pipeline."""
        return pipeline in self.pipelines


class Tokens:
    """The tokens of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.file = home.path / "secrets" / "tokens.json"
        self._seen: FileStamp | None = None
        self._by_hash: dict[str, Token] = {}

    def list(self) -> tuple[Token, ...]:
        """Return all tokens, revoked and expired ones included, in the order of their making.

        Raises:
            StorageError: the file was changed, or cannot be read.
        """
        try:
            content = self.file.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise unreadable(self.file, error) from error
        try:
            return tuple(
                Token(**{**entry, "pipelines": tuple(entry["pipelines"])})
                for entry in json.loads(content)
            )
        except (ValueError, TypeError, KeyError) as error:
            raise StorageError(
                "the tokens were changed and cannot be read",
                where=str(self.file),
                remedy="restore the file from a backup, or remove it and make new tokens",
            ) from error

    def new(
        self, name: str, pipelines: Sequence[str], *, valid: timedelta, rate: float | None = None
    ) -> str:
        """Make a token; the returned text is stored nowhere.

        Raises:
            UnknownNameError: the name is not one line of text, the rate is not a number, or it
                would be valid beyond the calendar.
            KeyFileError: a valid token of this name exists.
        """
        if not name.strip() or not name.isprintable() or len(name) > _LONGEST:
            raise UnknownNameError(
                f"{name[:_LONGEST]!r} cannot be the name of a token",
                remedy=f"write who will use it, in up to {_LONGEST} characters",
            )
        if rate is not None and not isfinite(rate):
            raise UnknownNameError(
                f"the rate {rate} is not a number", remedy="write a number such as 100"
            )
        with self._home.lock("tokens"):
            tokens = self.list()
            if any(token.name == name and token.is_valid for token in tokens):
                raise KeyFileError(
                    f"there is a token for {name!r} already",
                    remedy=f"choose another name, or revoke it: factory token revoke {name}",
                )
            try:
                expires = (datetime.now(UTC) + valid).isoformat(timespec="seconds")
            except OverflowError:
                raise UnknownNameError(
                    "a token cannot be valid beyond the year 9999",
                    remedy="write a shorter time, such as 365d",
                ) from None
            text = _PREFIX + secrets.token_urlsafe(_BYTES)
            token = Token(name, tuple(pipelines), hash_of(text), expires, rate)
            self._write((*tokens, token))
        return text

    def revoke(self, name: str) -> Token:
        """Let a token count no longer, at once.

        Raises:
            UnknownNameError: there is no valid token of this name.
        """
        with self._home.lock("tokens"):
            tokens = self.list()
            valid = [token for token in tokens if token.name == name and token.is_valid]
            if not valid:
                known = ", ".join(token.name for token in tokens if token.is_valid) or "none"
                raise UnknownNameError(
                    f"there is no valid token for {name!r}", remedy=f"valid tokens: {known}"
                )
            revoked = replace(valid[0], revoked=True)
            self._write(tuple(revoked if token == valid[0] else token for token in tokens))
        return revoked

    def _write(self, tokens: Sequence[Token]) -> None:
        content = json.dumps([asdict(token) for token in tokens], indent=1).encode()
        self._home.write_durable(self.file, content)

    def find(self, text: str) -> Token | None:
        """Return the valid token that a caller shows; a change of the file counts at once."""
        self._refresh()
        token = self._by_hash.get(hash_of(text))
        return token if token and token.is_valid else None

    @property
    def required(self) -> bool:
        """Whether callers must show a token: from the first one on, whether it is valid or not."""
        self._refresh()
        return bool(self._by_hash)

    def _refresh(self) -> None:
        try:
            seen = file_stamp(self.file)
        except OSError as error:
            raise unreadable(self.file, error) from error
        if seen != self._seen:
            self._by_hash = {token.sha256: token for token in self.list()}
            self._seen = seen
