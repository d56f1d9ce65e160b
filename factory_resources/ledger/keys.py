"""The key that signs the checkpoints of the ledger: a file that only the factory's user can read.

Whoever has it can rewrite the whole ledger. That it was rewritten is seen by a witness, and by
whoever kept an earlier checkpoint.
"""

import re
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from factory_resources.errors import StorageError
from factory_resources.home.home import Home, storage_errors, unreadable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from factory_resources.ledger.factory_verify import LogCheckpoint, VerifierKey

_NAME = "ledger_key"

_WHOLE = re.compile(
    rb"[!-~]+\n-----BEGIN PRIVATE KEY-----\n[0-9A-Za-z+/]{64}\n-----END PRIVATE KEY-----\n"
)
"""A key as `save` writes it."""


@dataclass(frozen=True)
class LogKey:
    """The private key of a log, and the log's name."""

    private: "Ed25519PrivateKey"
    verifier: "VerifierKey"

    @classmethod
    def generate(cls) -> "LogKey":
        """Return a new key for a log with a new name."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls._of(Ed25519PrivateKey.generate(), f"factory.local/{secrets.token_hex(8)}")

    @classmethod
    def _of(cls, private: "Ed25519PrivateKey", origin: str) -> "LogKey":
        from factory_resources.ledger.factory_verify import ED25519, VerifierKey

        public = private.public_key().public_bytes_raw()
        return cls(private, VerifierKey(origin, ED25519, public))

    @property
    def origin(self) -> str:
        return self.verifier.name

    def sign(self, checkpoint: "LogCheckpoint") -> str:
        """Return the signed note."""
        text = checkpoint.text
        signature = self.private.sign(self.verifier.message(text))
        return f"{text}\n{self.verifier.line(signature)}"

    def save(self, home: Home) -> None:
        """Write the key beside its place, where a ledger that was just begun finds it."""
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
        )

        pem = self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        home.write_durable(_new_key_file(home), f"{self.origin}\n".encode() + pem)

    def install(self, home: Home) -> None:
        """Move the key to its place: the ledger that it signs exists."""
        with storage_errors(key_file(home)):
            _new_key_file(home).replace(key_file(home))

    @classmethod
    def load(cls, home: Home) -> "LogKey":
        """Return the key of the home's ledger.

        Raises:
            StorageError: there is no key, other users can read it, or it is damaged.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        path = key_file(home)
        if not path.exists() and _new_key_file(home).exists():
            _new_key_file(home).replace(path)
        try:
            require_closed(path)
            origin, _, pem = path.read_bytes().partition(b"\n")
            private = load_pem_private_key(pem, None)
            if not isinstance(private, Ed25519PrivateKey):
                raise ValueError("it is not an Ed25519 key")
            return cls._of(private, origin.decode("ascii"))
        except PermissionError as error:
            raise unreadable(path, error) from error
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is damaged"
            raise StorageError(
                f"the key of the ledger cannot be read ({why})",
                where=str(path),
                remedy="restore it from a backup, or copy it from the home that began the ledger",
            ) from error


def origin_of(home: Home) -> str | None:
    """Return the name of the log whose key the home has, as it stands in the file; None if none."""
    for path in (key_file(home), _new_key_file(home)):
        if path.exists():
            with storage_errors(path):
                return path.read_bytes().partition(b"\n")[0].decode("ascii", "replace")
    return None


def key_file(home: Home) -> Path:
    return home.path / "secrets" / _NAME


def require_closed(key: Path) -> None:
    """Refuse a key that other users can read.

    Raises:
        StorageError: they can.
    """
    if key.stat().st_mode & 0o077:
        raise StorageError(
            "other users can read the key of the ledger",
            where=str(key),
            remedy=f"close it: chmod 600 {shlex.quote(str(key))}",
        )


def require_whole(home: Home) -> None:
    """Refuse a damaged key.

    One that looks as it was written is not loaded: importing that takes a tenth of a second.

    Raises:
        StorageError: it is damaged, or cannot be read.
    """
    with storage_errors(key_file(home)):
        content = key_file(home).read_bytes()
    if not _WHOLE.fullmatch(content):
        LogKey.load(home)


def _new_key_file(home: Home) -> Path:
    return key_file(home).with_suffix(".new")
