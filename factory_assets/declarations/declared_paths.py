"""List the folders and files from which everything declared is read, wherever they are.

Those of the sources belong in `data.sources.local_paths`.
"""

from collections.abc import Iterator
from pathlib import Path

from factory_assets.declarations.folders import (
    FILE,
    asset_folders,
    defs_folders,
    every_pipeline_folder,
    settings_file,
)
from factory_assets.declarations.loader import read
from factory_assets.declarations.people import people_file
from factory_assets.declarations.settings import policy_file


def declared_paths() -> Iterator[Path]:
    """Yield the folders of declarations, what links in them lead to, and the files that they name.

    Raises:
        DeclarationError: `factory.yaml` is wrong.
    """
    yield from defs_folders()
    folders = every_pipeline_folder()
    yield from (folder.resolve() for folder in (*folders, *asset_folders()))
    files = [settings_file(), people_file(), policy_file(), *(one / FILE for one in folders)]
    yield from (file.resolve() for file in files if file)
    for folder in folders:
        # Such as a contract.
        yield from (other.file for other in read(folder)[1].elsewhere.values())
