"""Which pipelines a command is about."""

from collections.abc import Sequence

from factory_assets.declarations.dependencies import in_order, require_no_circle
from factory_assets.declarations.loader import load_pipeline, pipeline_folders
from factory_assets.spec import Pipeline
from factory_assets.spec.base import suggest
from factory_resources.errors import DeclarationError


def select(names: Sequence[str]) -> list[Pipeline]:
    """The named pipelines, all of them where none is: in that order, each after those it reads.

    Raises:
        DeclarationError: for a name that no folder has, a declaration that does not load, or
            pipelines that read each other.
    """
    folders = {folder.name: folder for folder in pipeline_folders()}
    for name in names:
        if name not in folders:
            raise DeclarationError(f"no pipeline {name!r}", remedy=suggest(name, list(folders)))
    pipelines = [load_pipeline(folders[name]) for name in names or folders]
    for pipeline in pipelines:
        require_no_circle(pipeline)
    return in_order(pipelines)
