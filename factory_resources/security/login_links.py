"""One-time tokens of links by which the owner of a machine logs in, kept as hashes."""

from __future__ import annotations

import json
import secrets
import time

from factory_resources.home.home import Home
from factory_resources.security.sessions import CLOCKS, hash_of

VALID = 600
"""Seconds for which a link counts."""


class LoginLinks:
    """The links of one home; whoever can read its folder can make one.

    Raises:
        StorageError: the file cannot be written.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._file = home.path / "secrets" / "login_links.json"

    def new(self) -> str:
        """Return a token that counts once, for ten minutes; only its hash is stored."""
        token = secrets.token_urlsafe(32)
        with self._home.lock("login_links"):
            self._write({**self._valid(), hash_of(token): time.time() + VALID})
        return token

    def use(self, token: str) -> bool:
        """Whether the token counts; from now on it does not."""
        with self._home.lock("login_links"):
            valid = self._valid()
            if valid.pop(hash_of(token), None) is None:
                return False
            self._write(valid)
            return True

    def _valid(self) -> dict[str, float]:
        """Return the tokens that count still; a damaged file has none."""
        try:
            content = json.loads(self._file.read_bytes())
            now = time.time()
            times = {name: float(until) for name, until in content.items()}
            latest = now + VALID + CLOCKS
            return {name: until for name, until in times.items() if now < until < latest}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _write(self, valid: dict[str, float]) -> None:
        self._home.write_atomic(self._file, json.dumps(valid).encode())
