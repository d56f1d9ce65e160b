"""The manifest of a backup: every file with its digest, signed by the key of the ledger."""

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.keys import LogKey

MANIFEST, NOTE, FILES = "manifest.json", "manifest.note", "home"
"""What a backup consists of: the manifest, its signature, and the folder of the files."""

_FORM: Literal[1] = 1

_Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]

_TITLE = "factory backup"
"""The first line of what is signed. That of a checkpoint is the name of a log."""


class SavedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file."""

    path: Annotated[str, msgspec.Meta(pattern=r"^[^/]+(/[^/]+)*$")]
    """Below the home."""
    bytes: int
    sha256: _Sha256
    mode: int
    """Its rights; others than the owner never have any."""
    modified: int
    """When the file in the home had been changed: nanoseconds since 1970; 0 for a database."""


class SavedLedger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ledger in a backup."""

    key: str
    """The public key of the log, as a C2SP vkey."""
    size: int
    root: _Sha256


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is in a backup."""

    form: Literal[1] = _FORM
    made: str
    """UTC, ISO 8601."""
    home: str
    """The folder that was backed up."""
    ledger: SavedLedger
    files: tuple[SavedFile, ...]

    @property
    def content(self) -> bytes:
        """The bytes of its file."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


def signed_note(manifest: bytes, home: Home) -> bytes:
    """Return the signature of the bytes of a manifest, as a C2SP note.

    Raises:
        StorageError: the key of the ledger cannot be read.
    """
    key = LogKey.load(home)
    text = _signed_text(manifest)
    signature = key.private.sign(key.verifier.message(text))
    return f"{text}\n{key.verifier.line(signature)}".encode()


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a backup, whose signature is valid.

    Raises:
        StorageError: there is none, a newer factory made it, or it was changed.
    """
    file = folder / MANIFEST
    try:
        content, note = file.read_bytes(), (folder / NOTE).read_bytes()
    except OSError as error:
        raise StorageError(
            f"this is not a complete backup ({error.strerror}: {Path(error.filename).name})",
            where=str(folder),
            remedy="name a folder or a file that `factory backup` has made",
        ) from error
    try:
        form = msgspec.json.decode(content, type=_Form).form
    except msgspec.MsgspecError as error:
        raise _changed(file) from error
    if form > _FORM:
        raise StorageError(
            f"this backup has format {form}, but this version of the factory reads formats up to "
            f"{_FORM}",
            where=str(file),
            remedy="use the newer version that made it",
        )
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise _changed(file) from error
    _require_signed(content, note, manifest.ledger.key, file)
    for one in manifest.files:
        if {"..", "."} & {*one.path.split("/")}:
            raise _changed(file)
    return manifest


class _Form(msgspec.Struct):
    form: int


def _require_signed(content: bytes, note: bytes, vkey: str, file: Path) -> None:
    from factory_resources.ledger.factory_verify import InvalidError, SignedNote, VerifierKey

    try:
        signed = SignedNote.parse(note)
        if signed.time_of(VerifierKey.parse(vkey)) is None:
            raise InvalidError("the key of its ledger has not signed it")
    except InvalidError as error:
        raise _changed(file) from error
    if signed.text != _signed_text(content):
        raise _changed(file)


def _signed_text(manifest: bytes) -> str:
    return f"{_TITLE}\n{sha256(manifest).hexdigest()}\n"


def _changed(file: Path) -> StorageError:
    return StorageError(
        "the manifest of the backup was changed, or is damaged",
        where=str(file),
        remedy="restore another backup",
    )
