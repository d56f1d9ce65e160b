"""`factory new`: profile a data file and declare a pipeline for it."""

import os
from pathlib import Path

from factory_assets.cli.new.profile import profile
from factory_assets.cli.new.recommend import choose
from factory_assets.cli.new.render import draft
from factory_assets.cli.schema import schema_line
from factory_assets.declarations.loader import FILE, NAME, NAME_RULE, every_pipeline_folder
from factory_resources.errors import DeclarationError, SourceError
from factory_resources.home.home import Home


def new(name: str, *, source: Path, target: str, folder: Path) -> Path:
    """Write `folder/name/defs.yaml`, which passes `factory check`, and return its path.

    Raises:
        DeclarationError: a bad name, or one that is taken.
        SourceError: the file cannot be read.
        DataError: there is nothing to predict, or nothing to predict it from.
        StorageError: the folder cannot be written.
    """
    if not NAME.match(name):
        raise DeclarationError(f"{name!r} is no name for a pipeline", remedy=NAME_RULE)
    own = folder.resolve() / name
    taken = [path for path in every_pipeline_folder() if path.name == name]
    if (own / FILE).exists() or taken:
        raise DeclarationError(
            f"pipeline {name!r} exists already",
            where=str((taken or [own])[0] / FILE),
            remedy="choose another name, or change that file",
        )
    source = source.expanduser().resolve()
    table = profile(source)
    content = draft(table, choose(table, target), file=_from(own, source), schema=schema_line(own))
    Home.from_env().write_atomic(own / FILE, content.encode())
    return own / FILE


def _from(own: Path, source: Path) -> str:
    """Relative to the pipeline where the two lie close together and so move together."""
    near = own.parent.parent
    path = os.path.relpath(source, own) if source.is_relative_to(near) else str(source)
    if "${" in path:
        raise SourceError(
            "the path holds ${, which a declaration replaces", where=path, remedy="rename it"
        )
    return path
