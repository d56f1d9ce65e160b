"""Homes and files that several files of tests need are made once for all processes."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from filelock import FileLock

_VARIABLE = "SHARED_BY_TESTS"


def share_homes(folder: Path) -> None:
    """Keep what is made once in a folder, which all processes of this run of the tests share.

    Those that this process starts are told by the environment.
    """
    os.environ[_VARIABLE] = str(folder)


def shared_folder() -> Path:
    """Return the folder that all processes of this run of the tests share."""
    return Path(os.environ[_VARIABLE])


def written_once(file: Path, write: Callable[[Path], object]) -> None:
    """Let a file be written if it is not there; two processes at once may both write it.

    Args:
        file: in the shared folder; what is in it depends on its name alone.
        write: writes the file whose path it gets, which appears when it is whole.
    """
    if not file.exists():
        part = file.with_name(f"{file.name}-{uuid4()}")
        write(part)
        part.replace(file)


def made_once(name: str, root: Path, make: Callable[[Path], object]) -> None:
    """Copy to a folder what the first process that needs it has made.

    Args:
        name: what is made; the same for all who make the same.
        root: where the copy is put; it may be there, and be empty.
        make: makes it in the folder that it gets, which is not there yet.
    """
    kept = shared_folder() / f"once-{name}"
    with FileLock(f"{kept}.lock"):
        if not (kept / "done").exists():
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir()
            make(kept / "root")
            (kept / "done").touch()
    shutil.copytree(kept / "root", root, dirs_exist_ok=True)
