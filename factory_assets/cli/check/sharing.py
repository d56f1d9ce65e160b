"""Say which pipelines cannot run on another machine, since a column must not leave the home."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from factory_assets.declarations.loader import load_pipeline, pipeline_folders
from factory_assets.execution.unshared_columns import unshared_columns

_NAMED = re.compile(r"""\b(?:contract|file)["']?\s*:\s*["']?([^\s"'{}\[\],#]+)""")
"""The file of a contract, or the word that begins what stands in its place."""


def bound_pipelines(pipelines: Sequence[str] = ()) -> Iterator[str]:
    """Yield a line for each pipeline that stays in its home, with the columns and where that is
    declared.

    Args:
        pipelines: their names; empty for all.

    Raises:
        DeclarationError: one of them does not load.
    """
    folders = pipeline_folders()
    # Loading them all takes as long as checking them, and most factories need no such key.
    if not any(_may_say_never(folder) for folder in folders):
        return
    for folder in folders:
        if pipelines and folder.name not in pipelines:
            continue
        columns = unshared_columns(load_pipeline(folder))
        if columns:
            listed = ", ".join(
                name if at == f"{folder.name}.{name}" else f"{name} (from {at})"
                for name, at in columns.items()
            )
            yield f"{folder.name} runs only in this home: {listed} must not leave it"


def _may_say_never(folder: Path) -> bool:
    """Whether the declaration in a folder, or the file of its contract, has the word."""
    text = (folder / "defs.yaml").read_text(encoding="utf-8", errors="replace")
    return "never" in text or any(
        _has_never(folder / name)
        for name in _NAMED.findall(text)
        if not (name == "-" or name.endswith(":"))
    )


def _has_never(file: Path) -> bool:
    try:
        return b"never" in file.read_bytes()
    except OSError:
        # It is named otherwise, such as with a space. Then the declaration is loaded.
        return True
