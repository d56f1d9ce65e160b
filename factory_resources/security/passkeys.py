"""Passkeys of people, as the factory knows them: public keys; the private ones stay in devices.

Checking what a device signed belongs in `passkey_proofs`. Who may add one, and who comes in by one,
is decided in `factory_assets.web`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from factory_resources.errors import RefusedError, StorageError
from factory_resources.home.home import Home

_MOST = 20
"""Passkeys of one person."""


@dataclass(frozen=True)
class Passkey:
    """A credential of WebAuthn."""

    id: str
    """As the device chose it, base64url."""
    person: str
    """The name in `people.yaml`."""
    name: str
    """By which the person knows it."""
    host: str
    """The host at which it was made, and at which alone it counts."""
    user: str
    """WebAuthn's user handle: the random number by which devices know the person, base64url."""
    public_key: str
    """A COSE key, base64url."""
    sign_count: int
    """How often the device signed, when it was used last; 0 if it does not count."""
    created: float
    """Seconds since 1970."""


class Passkeys:
    """The passkeys of one home.

    Raises:
        StorageError: the file cannot be read or written.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._file = home.path / "secrets" / "passkeys.json"

    def of(self, person: str) -> tuple[Passkey, ...]:
        """Return the passkeys of a person, the oldest first."""
        return tuple(one for one in self._read() if one.person == person)

    def find(self, passkey_id: str) -> Passkey | None:
        """Return the passkey with an id, whoever has it."""
        return next((one for one in self._read() if one.id == passkey_id), None)

    def add(self, passkey: Passkey) -> None:
        """Let a passkey count.

        Raises:
            RefusedError: the person has too many, or somebody has this one.
        """
        with self._home.lock("passkeys"):
            known = self._read()
            if any(one.id == passkey.id for one in known):
                raise RefusedError(
                    "this passkey is registered already", remedy="use it, or another device"
                )
            if sum(one.person == passkey.person for one in known) >= _MOST:
                raise RefusedError(f"you have {_MOST} passkeys", remedy="remove one first")
            self._write([*known, passkey])

    def use(self, passkey: Passkey, sign_count: int) -> bool:
        """Note how often the device signed by now.

        Args:
            passkey: as it was found.
            sign_count: as the device says.

        Returns:
            Whether the passkey counts: not if it was removed meanwhile, nor if the device counts
            backwards, because then two have its key.
        """
        with self._home.lock("passkeys"):
            known = self._read()
            now = next((one for one in known if one.id == passkey.id), None)
            if now is None or replace(now, sign_count=passkey.sign_count) != passkey:
                return False
            if (sign_count or now.sign_count) and sign_count <= now.sign_count:
                return False
            used = replace(now, sign_count=sign_count)
            self._write([used if one is now else one for one in known])
            return True

    def remove(self, person: str, passkey_id: str | None = None) -> int:
        """Let a passkey of a person count no more, or all; return how many that were."""
        with self._home.lock("passkeys"):
            known = self._read()
            left = [
                one for one in known if one.person != person or passkey_id not in (None, one.id)
            ]
            if len(left) < len(known):
                self._write(left)
            return len(known) - len(left)

    def _read(self) -> list[Passkey]:
        try:
            return [Passkey(**entry) for entry in json.loads(self._file.read_bytes())]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise StorageError(
                "the passkeys were changed and cannot be read",
                where=str(self._file),
                remedy="restore the file from a backup, or remove it and add new passkeys",
            ) from error

    def _write(self, passkeys: list[Passkey]) -> None:
        content = json.dumps([asdict(one) for one in passkeys], indent=1).encode()
        self._home.write_durable(self._file, content)
