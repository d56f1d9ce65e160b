"""Call Python code that a declaration names, in commands other than runs, only inside a boundary.

They store no result, so that there is no report of it in the ledger. Runs, reproductions and looks
belong in `run_inside`.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from click.exceptions import Exit

from factory_assets.cli.run_inside import await_command, boundary_here
from factory_assets.spec import Pipeline, PythonSource
from factory_assets.spec.models import OwnModule
from factory_resources.home.home import Home


def names_sources(pipeline: Pipeline) -> bool:
    """Whether a source of the pipeline, or of outcomes of its answers, is a function of the user's.

    A joined table is a source, too.
    """
    watch = pipeline.spec.watch
    outcomes = [watch.outcomes.source] if watch and watch.outcomes else []
    sources = [*pipeline.spec.ingest.every_source, *outcomes]
    return any(isinstance(source, PythonSource) for source in sources)


def names_model(pipeline: Pipeline) -> bool:
    """Whether the model of the pipeline is a class of the user's."""
    train = pipeline.spec.train
    return train is not None and isinstance(train.model, OwnModule)


def path_inside(path: Path) -> Path:
    """Return the path by which a command inside finds what a user has named.

    The working folder may be another one there, and links on the way are not seen. That of a file
    stays, since its name tells the format.
    """
    return path.resolve() if path.is_dir() else path.parent.resolve() / path.name


def output_inside(
    command: Sequence[str],
    pipelines: Sequence[Pipeline],
    home: Home,
    reads: Sequence[Path] = (),
    *,
    finds: bool = False,
) -> str | None:
    """Return what a command prints inside a boundary.

    None if no boundary is possible or wanted, or this process is inside one already.

    Args:
        reads: what its arguments name, by its `path_inside`.
        finds: whether it also prints what it was asked for where its exit code tells of problems.

    Raises:
        BoundaryError: a boundary is required, and there can be none.
        Exit: the command failed, and has said why on standard error.
    """
    boundary = boundary_here(pipelines, home, None)
    if boundary is None:
        return None
    boundary = replace(boundary, readable=(*boundary.readable, *filter(Path.exists, reads)))
    with tempfile.TemporaryFile() as output:
        code = await_command(boundary.command(command), {}, output)
        output.seek(0)
        text = output.read().decode()
    if code and not (finds and text):
        raise Exit(code)
    return text
