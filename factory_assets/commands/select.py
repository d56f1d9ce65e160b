"""Which pipelines a command is about."""

from collections.abc import Sequence

from factory_assets.components.declaration import load_pipeline, pipeline_folders
from factory_assets.spec import Pipeline
from factory_assets.spec.suggest import suggest
from factory_resources.errors import DeclarationError


def select(names: Sequence[str]) -> list[Pipeline]:
    """The named pipelines in the order named; all of them where none is.

    Raises:
        DeclarationError: for a name that no folder has, or a declaration that does not load.
    """
    folders = {folder.name: folder for folder in pipeline_folders()}
    for name in names:
        if name not in folders:
            raise DeclarationError(f"no pipeline {name!r}", remedy=suggest(name, list(folders)))
    return [load_pipeline(folders[name]) for name in names or folders]
