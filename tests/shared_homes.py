"""Homes that several files of tests need are made once for all processes, which copy them."""

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

_folder: list[Path] = []


def share_homes(folder: Path) -> None:
    """Keep what is made once below a folder, which all processes of this run of the tests share."""
    _folder[:] = [folder]


def made_once(name: str, root: Path, make: Callable[[Path], object]) -> None:
    """Copy to a folder what the first process that needs it has made.

    Args:
        name: what is made; the same for all who make the same.
        root: where the copy is put; it may be there, and be empty.
        make: makes it in the folder that it gets, which is not there yet.
    """
    [folder] = _folder
    kept = folder / f"once-{name}"
    with FileLock(f"{kept}.lock"):
        if not (kept / "done").exists():
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir()
            make(kept / "root")
            (kept / "done").touch()
    shutil.copytree(kept / "root", root, dirs_exist_ok=True)
