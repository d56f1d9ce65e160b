"""Say which pipelines cannot run on another machine, since a column must not leave the home."""

from collections.abc import Iterator, Sequence

from factory_assets.declarations.loader import load_pipeline, pipeline_folders
from factory_assets.execution.unshared_columns import unshared_columns


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
    files = (file for folder in folders for file in folder.glob("*.yaml"))
    if not any(b"never" in file.read_bytes() for file in files):
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
            yield f"{folder.name} runs in this home alone: share is never for {listed}"
