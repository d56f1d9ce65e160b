"""The keys by which people sign: Ed25519, in the format of OpenSSH, encrypted under a passphrase.

What is signed belongs in `ledger.statements`; who may sign what, in `factory_assets.execution`.
"""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_resources.errors import OUTPUT_REMEDY, KeyFileError, StorageError
from factory_resources.home.home import storage_errors

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_BYTES = 16_384
"""A key file is shorter."""


@dataclass(frozen=True)
class PersonalKey:
    """A person's private key, decrypted, and its public line."""

    private: "Ed25519PrivateKey"
    public: str
    """`ssh-ed25519` and the key in base64, without a comment."""

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)


def create_key(file: Path, passphrase: bytes) -> str:
    """Write a new encrypted key, and its public line beside it; return that line.

    Raises:
        KeyFileError: one of the files exists or is a folder, or there is no passphrase.
        StorageError: it cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
    )

    if not passphrase:
        raise KeyFileError(
            "a key without a passphrase could be used by whoever copies its file",
            where=str(file),
            remedy="choose a passphrase",
        )
    if file.is_dir():
        raise KeyFileError(
            "this is a folder",
            where=str(file),
            remedy=f"name a file in it, such as {shlex.quote(str(file / 'jane'))}",
        )
    if public_file(file).exists():
        # Such as that of a key that was moved to a device.
        raise _exists(public_file(file))
    private = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(passphrase)
    content = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, encryption)
    public = _public(private)
    with storage_errors(file, OUTPUT_REMEDY):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise _exists(file) from error
    except OSError:
        with storage_errors(file, OUTPUT_REMEDY):
            raise
    try:
        with storage_errors(file, OUTPUT_REMEDY), os.fdopen(handle, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        with storage_errors(file, OUTPUT_REMEDY):
            public_file(file).write_text(f"{public}\n", encoding="ascii")
    except StorageError:
        # A part of a key is of no use, and would be in the way of the next one.
        remove_key(file)
        raise
    return public


def remove_key(file: Path) -> None:
    """Remove a key that nobody has used, and its public line."""
    for path in (file, public_file(file)):
        path.unlink(missing_ok=True)


def _exists(file: Path) -> KeyFileError:
    return KeyFileError(
        "this file exists already",
        where=str(file),
        remedy="choose another name; a key is never overwritten",
    )


def load_key(file: Path, passphrase: Callable[[], bytes]) -> PersonalKey:
    """Return the key in a file.

    Args:
        passphrase: asked only if the key is encrypted.

    Raises:
        KeyFileError: the file is missing, open to others, not an Ed25519 key, or the passphrase
            is wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    content = _content(file)
    try:
        private = load_ssh_private_key(content, None)
    except TypeError:
        # It is encrypted.
        private = _decrypted(content, file, passphrase())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(
            "this is not an OpenSSH private key",
            where=str(file),
            remedy="make one with: factory key new NAME",
        ) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFileError(
            "this key is not of type ssh-ed25519",
            where=str(file),
            remedy="make one with: factory key new NAME, or ssh-keygen -t ed25519",
        )
    return PersonalKey(private, _public(private))


def _decrypted(content: bytes, file: Path, passphrase: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    try:
        return load_ssh_private_key(content, passphrase)
    except (TypeError, ValueError) as error:
        raise KeyFileError(
            "the passphrase is wrong, or the key is damaged",
            where=str(file),
            remedy="try again; nothing was changed",
        ) from error


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_mode & 0o077:
            raise KeyFileError(
                "other users can read this key",
                where=str(file),
                remedy=f"chmod 600 {shlex.quote(str(file))}",
            )
        with file.open("rb") as opened:
            return opened.read(_BYTES)
    except OSError as error:
        raise KeyFileError(
            f"the key cannot be read ({error.strerror})",
            where=str(file),
            remedy="make one with: factory key new NAME, or name yours with --key",
        ) from error


def _public(private: "Ed25519PrivateKey") -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def public_file(file: Path) -> Path:
    """Return where the public line of a key is."""
    return file.with_name(f"{file.name}.pub")
