"""`factory ledger`: checkpoints for witnesses and from them, and the log as files of tlog-tiles."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from factory_assets.cli.output_file import write_document, write_output
from factory_assets.cli.shared import read_file
from factory_assets.declarations.settings import FILE, load_settings
from factory_assets.execution.ledger_entries import append_settings, begin_ledger, require_ledger
from factory_resources.errors import (
    OUTPUT_REMEDY,
    DeclarationError,
    FactoryError,
    SourceError,
    StorageError,
    UnknownNameError,
)
from factory_resources.home.home import Home, storage_errors
from factory_resources.ledger.factory_verify import (
    FOR_OTHERS,
    InvalidError,
    TrustPolicy,
    VerifierKey,
)
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.tiles import write_tiles
from factory_resources.ledger.witnesses import add_cosignatures as add_to_log
from factory_resources.ledger.witnesses import request, witness_named

REQUEST, COSIGNED = ".request", ".cosigned"
"""End the names of the files that `exchange` writes and reads."""

_LARGEST = 1_000_000
"""Bytes that are read of a file that others have written; a cosigned checkpoint has few."""


def write_request(name: str | None, out: Path, old: int | None = None) -> str:
    """Write the request to a witness, and return in one line what was written.

    Args:
        old: how many entries the witness says that it has seen.

    Raises:
        FactoryError: there is no such witness, or a file or the ledger cannot be read or written.
    """
    policy, home = declared_policy(), Home.from_env()
    begin_ledger(home)
    append_settings(home)
    found, witness = witness_named(policy, name)
    size, content = _request(home, witness, old)
    _write(out, content, mode=FOR_OTHERS)
    return _request_line(out, size, found)


def add_cosignatures(file: Path) -> str:
    """Store the cosignatures in a file, and return in one line whose they are.

    Raises:
        FactoryError: the file is not a checkpoint of this ledger, or nobody known has cosigned it.
    """
    return _add(file, read_file(file))


def _add(file: Path, content: bytes) -> str:
    policy, home = declared_policy(), Home.from_env()
    try:
        with Ledger(home).writing() as log:
            names = add_to_log(log, content, policy)
    except InvalidError as error:
        raise UnknownNameError(
            str(error),
            where=str(file),
            remedy="give the file that the witness wrote from a request of this factory",
        ) from error
    return f"stored the cosignature of {', '.join(names)}"


def exchange(folder: Path) -> Iterator[str]:
    """Store the cosignatures in a folder, write a request to each witness there, and yield lines.

    The file of the witness `w1` is `w1.request`; what it has cosigned may have any name that ends
    in `.cosigned`. A file stays, and storing what is in it again changes nothing. Others write in
    that folder, too: no link is followed, and no pipe waited for.

    Raises:
        FactoryError: as `write_request`, or, after all requests were written, `add_cosignatures`.
    """
    policy, home = declared_policy(), Home.from_env()
    begin_ledger(home)
    append_settings(home)
    refused: list[FactoryError] = []
    for file in sorted(folder.glob(f"*{COSIGNED}")):
        try:
            yield _add(file, _read_shared(file))
        except (UnknownNameError, SourceError) as error:
            refused.append(error)
    for name, witness in policy.witnesses:
        # A name in a policy may have any characters but blanks.
        out = folder / f"{quote(name, safe='')}{REQUEST}"
        size, content = _request(home, witness)
        _replace_shared(out, content)
        yield _request_line(out, size, name)
    if refused:
        raise refused[0]


def export_tiles(out: Path) -> str:
    """Write the log as files, and return in one line what was written.

    Raises:
        StorageError: it is no folder, or a file cannot be written.
    """
    home = Home.from_env()
    require_ledger(home)
    if out.exists() and not out.is_dir():
        raise StorageError(
            "this is not a folder", where=str(out), remedy="name a folder, or a new name"
        )
    with Ledger(home).reading() as log:
        size = write_tiles(log, out, _write_document)
    return f"wrote {out}: {size:,} entries"


def declared_policy() -> TrustPolicy:
    """Return the policy of witnesses.

    Raises:
        DeclarationError: none is declared, or a file is wrong.
    """
    declared = load_settings()
    if declared is None or declared.policy is None:
        raise DeclarationError(
            "no witness is declared",
            where=FILE,
            remedy="declare `witness: {required: 1, every: 1d}` in it, beside the pipelines, and "
            "the witnesses in witnesses.policy; docs/audit.md shows both",
        )
    return declared.policy


def _request(home: Home, witness: VerifierKey, old: int | None = None) -> tuple[int, bytes]:
    with Ledger(home).writing() as log:
        return request(log, witness, old)


def _request_line(out: Path, size: int, name: str) -> str:
    return f"wrote {out}: the checkpoint of {size:,} entries, for {name} to cosign"


def _read_shared(file: Path) -> bytes:
    """Return the content of a file that others have written.

    Raises:
        SourceError: it cannot be read, or is no file.
    """
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as opened:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(errno.EINVAL, "it is not a file")
            return opened.read(_LARGEST)
    except OSError as error:
        raise SourceError(
            f"cannot be read ({error.strerror})",
            where=str(file),
            remedy="let the witness write a file there that this user may read",
        ) from error


def _replace_shared(path: Path, content: bytes) -> None:
    """Write a file beside those of others; a link that has its name is replaced, not followed."""
    made = path.with_name(f".{uuid4().hex}")
    _write(made, content, mode=FOR_OTHERS)
    with storage_errors(path, OUTPUT_REMEDY):
        try:
            made.replace(path)
        except OSError:
            made.unlink()
            raise


def _write(path: Path, content: bytes, mode: int) -> None:
    _make_folder(path)
    write_output(path, content, mode)


def _write_document(path: Path, content: bytes) -> None:
    _make_folder(path)
    write_document(path, content)


def _make_folder(path: Path) -> None:
    with storage_errors(path, OUTPUT_REMEDY):
        path.parent.mkdir(parents=True, exist_ok=True)
