"""Copies of the factory's own code, for tests that change it."""

import shutil
from pathlib import Path

from factory_resources.home.home import PROJECT


def copy_code(package: str, folder: Path) -> None:
    """Copy a package, named by its path in the project, to the same path below a folder."""
    # Whoever compiles a module writes it under another name, which is gone a moment later.
    ignored = shutil.ignore_patterns("*.pyc.*")
    shutil.copytree(PROJECT / package, folder / package, ignore=ignored)
