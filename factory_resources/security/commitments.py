"""Commitments to names of people: the ledger has a digest, and the salt is kept apart.

Without its salt, a commitment cannot be told from a random number: deleting the salt takes the name
out of the ledger.
"""

import json
import secrets
from hashlib import sha256

from factory_resources.errors import StorageError
from factory_resources.home.home import Home, unreadable

_FILE = "people_salts.json"


class Commitments:
    """The salts of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._file = home.path / "secrets" / _FILE

    def of(self, kind: str, name: str) -> str:
        """Return the commitment to a name; the first time, its salt is stored durably."""
        return commit(self.salt(kind, name), name)

    def salt(self, kind: str, name: str) -> str:
        """Return the salt of a name, in hexadecimal; the first time, it is stored durably."""
        slot = f"{kind}:{name}"
        if known := self._read().get(slot):
            return known
        with self._home.lock("people"):
            salts = self._read()
            if slot not in salts:
                salts[slot] = secrets.token_hex(16)
                content = json.dumps(salts, indent=1, sort_keys=True).encode()
                self._home.write_durable(self._file, content)
            return salts[slot]

    def name_of(self, kind: str, commitment: str | None) -> str | None:
        """Return the name behind a commitment; None if its salt is gone."""
        return self.names(kind).get(commitment) if commitment else None

    def names(self, kind: str) -> dict[str, str]:
        """Return every name whose salt is there, by its commitment."""
        slots = ((slot.partition(":"), salt) for slot, salt in self._read().items())
        return {commit(salt, name): name for (of, _, name), salt in slots if of == kind}

    def _read(self) -> dict[str, str]:
        try:
            salts = json.loads(self._file.read_bytes())
            if all(isinstance(salt, str) and bytes.fromhex(salt) for salt in salts.values()):
                return dict(salts)
            raise ValueError("a salt is missing")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise unreadable(self._file, error) from error
        except (ValueError, AttributeError) as error:
            raise StorageError(
                "the salts of people's names cannot be read",
                where=str(self._file),
                remedy="restore the file from a backup; without it everybody is entered anew",
            ) from error


def commit(salt: str, name: str) -> str:
    """Return SHA-256 of the salt, which is in hexadecimal, and the name."""
    return sha256(bytes.fromhex(salt) + name.encode()).hexdigest()
