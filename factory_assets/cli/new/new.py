"""`factory new`: profile a data file and write a declaration for it.

The profile belongs in `profile`, the decisions in `recommend`, the text of the file in `render`;
images in `image_folders`.
"""

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from factory_assets.cli.new.files import source_pattern
from factory_assets.cli.new.image_folders import find_images, render_images
from factory_assets.cli.new.profile import profile
from factory_assets.cli.new.recommend import recommend
from factory_assets.cli.new.render import render
from factory_assets.cli.schema import schema_line
from factory_assets.declarations.loader import (
    FILE,
    NAME_RULE,
    defs_folders,
    every_pipeline_folder,
    is_pipeline_name,
)
from factory_resources.errors import DeclarationError, SourceError, StorageError
from factory_resources.home.home import Home

_ADDRESS = re.compile("(sqlite|postgres(ql)?|mysql|s3|https?|file):", re.IGNORECASE)


@dataclass(frozen=True)
class DraftedFile:
    """A declaration that was written."""

    path: Path
    target: str
    """What the pipeline predicts."""
    guessed: str
    """Why, if nobody has named it."""


def new(name: str, *, source: Path, folder: Path, target: str | None = None) -> DraftedFile:
    """Write `folder/name/defs.yaml`, which passes `factory check`.

    Args:
        name: of the pipeline.
        source: the data file, a glob of several, or a folder of data files of one kind, or of
            images in a folder for each class.
        folder: the folder of pipelines.
        target: the column to predict; None to guess it. Of images, the column of their classes.

    Raises:
        DeclarationError: the name is not valid, or there is a pipeline of that name.
        SourceError: the data file cannot be read, or is an address.
        DataError: the target cannot be predicted, no input column is left, or there are too few
            rows.
        StorageError: the folder cannot be written.
    """
    if not is_pipeline_name(name):
        raise DeclarationError(f"{name!r} is not a valid pipeline name", remedy=NAME_RULE)
    pipeline_folder = folder.resolve() / name
    existing = [path for path in every_pipeline_folder() if path.name == name]
    if (pipeline_folder / FILE).exists() or existing:
        raise DeclarationError(
            f"pipeline {name!r} exists already",
            where=str((existing or [pipeline_folder])[0] / FILE),
            remedy="choose another name, or change that file",
        )
    _require_no_address(source)
    source = Path(os.path.expanduser(source)).resolve()
    if images := find_images(source):
        patterns = [_declared_path(pipeline_folder, pattern) for pattern in images.patterns]
        schema = schema_line(pipeline_folder)
        content, named = render_images(images, patterns=patterns, label=target, schema=schema)
        _write(pipeline_folder / FILE, content)
        return DraftedFile(pipeline_folder / FILE, named, guessed="")
    source = source_pattern(source)
    table = profile(source)
    choices = recommend(table, target)
    content = render(
        table,
        choices,
        file=_declared_path(pipeline_folder, source),
        schema=schema_line(pipeline_folder),
    )
    _write(pipeline_folder / FILE, content)
    return DraftedFile(pipeline_folder / FILE, choices.target_name, choices.target.guessed)


def _require_no_address(source: Path) -> None:
    """Refuse the address of a database or a storage, which may contain a password.

    Raises:
        SourceError: it is one.
    """
    address = _ADDRESS.match(str(source))
    if address and not source.exists():
        raise SourceError(
            f"{address[0]}… is an address, and only files are drafted",
            remedy="export some rows as CSV or Parquet, draft from them, and then declare the "
            "address as the source (docs/data.md)",
        )


def commands_after(name: str, folder: Path) -> str:
    """Return what to run once the declaration is written.

    Commands find it only if FACTORY_DEFS names its folder.
    """
    commands = [f"factory check {name}", f"factory run {name}"]
    if folder.resolve() not in defs_folders():
        named = os.environ.get("FACTORY_DEFS", "").strip(os.pathsep)
        folders = os.pathsep.join(filter(None, [named, str(folder.resolve())]))
        commands.insert(0, f"export FACTORY_DEFS={shlex.quote(folders)}")
    return " && ".join(commands)


def _write(path: Path, content: str) -> None:
    """Write a file of the user's, with the permissions of any new one; all of it or none."""
    is_new = not path.parent.exists()
    try:
        Home.from_env().write_atomic(path, content.encode(), mode=0o666)
    except StorageError as error:
        if is_new and path.parent.exists():
            path.parent.rmdir()
        error.remedy = "free space there or make it writable, or name another folder with --in"
        raise


def _declared_path(pipeline_folder: Path, source: Path) -> str:
    """Return the path of the data file: relative to the pipeline if it is nearby, else absolute.

    Files in the parent of the folder of pipelines are likely to be moved together with it.
    """
    near = pipeline_folder.parent.parent
    is_near = source.is_relative_to(near)
    path = os.path.relpath(source, pipeline_folder) if is_near else str(source)
    if "${" in path:
        raise SourceError(
            "the path contains ${, which starts a variable in a declaration",
            where=path,
            remedy="rename the file or folder",
        )
    return path
