"""Exceptions that no module has foreseen: one line, and the traceback in a file of the home."""

import os
import sys
import traceback
from datetime import UTC, datetime
from errno import EACCES, EISDIR, ELOOP, ENAMETOOLONG, ENOTDIR
from typing import NoReturn

import click

from factory_resources.errors import (
    FILES_REMEDY,
    FactoryError,
    LimitError,
    StorageError,
    UnexpectedError,
    UnknownNameError,
)
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_fault

_OF_PATHS = frozenset({EACCES, EISDIR, ELOOP, ENAMETOOLONG, ENOTDIR})
"""What the operating system tells of a path that is not, or not for us, what it should be."""

_CIRCLE = "Symlink loop from "
"""What `pathlib` says, before the path."""

_MEMORY = (
    "the memory is too small",
    "free some, or raise the limit: ulimit -v, or MemoryMax= of a service",
)

_LIMITS = {
    "MemoryError": _MEMORY,
    "Cannot allocate memory": _MEMORY,
    "failed to map segment from shared object": _MEMORY,
    "can't start new thread": (
        "no further thread can be started",
        "free memory, or allow more threads: ulimit -u, or TasksMax= of a service",
    ),
    "Too many open files": ("no further file can be opened", FILES_REMEDY),
}
"""What the operating system and libraries say if there is no more of something; of Dagster's
exceptions, only the text is left."""


def end_with(error: Exception, *, debug: bool) -> NoReturn:
    """Print an error as one line, with `debug` below its traceback, and exit with its code."""
    if not isinstance(error, FactoryError):
        error = _not_text(error) or _wrong_place(error) or unexpected(error, Home.from_env())
    if debug:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    click.echo(f"error: {error}", err=True)
    sys.exit(error.exit_code)


def _not_text(error: Exception) -> FactoryError | None:
    """Return the mistake of a word or a setting that has to be text, and is not UTF-8.

    Python passes on its bytes as surrogates, which are allowed in the path of a file alone.
    """
    if "surrogate" not in str(error):
        return None
    mistake = None
    if wrong := [word for word in sys.argv if _has_other_bytes(word)]:
        what, remedy = f"{wrong[0]!r} is not UTF-8", "write it in UTF-8, unless it is a path"
        mistake = UnknownNameError(what, remedy=remedy)
    elif named := [name for name, value in os.environ.items() if _has_other_bytes(value)]:
        # Its value may be a secret.
        remedy = "set it to text in UTF-8"
        mistake = UnknownNameError("its value is not UTF-8", where=named[0], remedy=remedy)
    if mistake:
        mistake.__cause__ = error
    return mistake


def _has_other_bytes(text: str) -> bool:
    return any("\udc80" <= one <= "\udcff" for one in text)


def _wrong_place(error: Exception) -> FactoryError | None:
    """Return the mistake of a link that leads to itself, or of a present folder that is gone."""
    if isinstance(error, RuntimeError) and str(error).startswith(_CIRCLE):
        where = str(error).removeprefix(_CIRCLE).strip("'")
        mistake = StorageError("a link leads to itself", where=where, remedy="name another path")
    elif isinstance(error, FileNotFoundError) and not _has_present_folder():
        mistake = StorageError(
            "the current folder does not exist any more", remedy="change to one that exists"
        )
    else:
        return None
    mistake.__cause__ = error
    return mistake


def _has_present_folder() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def is_interruption(error: Exception) -> bool:
    """Return whether Ctrl-C has caused an error; Pydantic keeps only its text."""
    return str(error).rstrip().endswith("KeyboardInterrupt:")


def unexpected(error: BaseException, home: Home, where: str = "") -> FactoryError:
    """Return an error of one line for an exception that the factory has not raised itself.

    Faults of the disk, of a database, of a path that the user named or of a machine that is too
    small are reported as such. For all others, the traceback is written to a file, which the error
    names.

    Args:
        error: the exception; it is the cause of the returned error.
        where: the pipeline that failed, if it is known.
    """
    if caused := storage_fault(error, home):
        caused.__cause__ = error
        return caused
    if isinstance(error, OSError) and error.errno in _OF_PATHS and error.filename is not None:
        refused = StorageError(
            f"this path cannot be used ({error.strerror})",
            where=os.fsdecode(error.filename),
            remedy="change its rights, or name another one",
        )
        refused.__cause__ = error
        return refused
    if limit := _limit(error, where):
        limit.__cause__ = error
        return limit
    remedy = f"its traceback is in {_write(error, home)}; please report it with that file"
    lines = str(error).splitlines()
    message = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    fault = UnexpectedError(f"unexpected {message}", where=where, remedy=remedy)
    fault.__cause__ = error
    return fault


def _limit(error: BaseException, where: str) -> LimitError | None:
    """Return what the machine, or a limit of the process, allows no more of; None if nothing."""
    text = f"{type(error).__name__}: {error}"
    for sign, (what, remedy) in _LIMITS.items():
        if sign in text:
            return LimitError(what, where=where, remedy=remedy)
    return None


def _write(error: BaseException, home: Home) -> str:
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    path = home.path / "logs" / f"error-{now}-{os.getpid()}.log"
    text = "".join(traceback.format_exception(error))
    try:
        home.require_writable()
        # Names in a message need not be valid text.
        home.write_atomic(path, text.encode(errors="backslashreplace"))
    except StorageError as refused:
        return f"no file ({refused.what}; `factory --debug` shows it)"
    return str(path)
