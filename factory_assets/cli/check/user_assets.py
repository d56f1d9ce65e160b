"""Check the Dagster assets of a user: whether each `assets.py` loads beside everything else.

They are imported inside a boundary, by `python -m factory_assets.cli.check.user_assets`.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path

from factory_assets.cli.code_inside import output_inside
from factory_assets.declarations.dependencies import load_beside_others
from factory_assets.declarations.folders import asset_folders, pipeline_folders
from factory_assets.declarations.loader import Problem
from factory_assets.execution.boundary_level import import_refused
from factory_resources.errors import DeclarationError, FactoryError
from factory_resources.home.home import Home
from factory_resources.interpreter import module_command


def user_asset_problems() -> Iterator[Problem]:
    """Import each `assets.py`; yield why one does not load.

    Raises:
        BoundaryError: a boundary is required, and there can be none.
        Exit: importing it ended the process.
    """
    if not asset_folders() or import_refused():
        return
    command = module_command("factory_assets.cli.check.user_assets")
    with tempfile.TemporaryDirectory(prefix="factory-check-") as home:
        output = output_inside(command, [], Home(Path(home)))
    found = _problems() if output is None else json.loads(output)
    yield from (Problem(Path(file), line, "", message) for file, line, message in found)


def _problems() -> Iterator[tuple[str, int, str]]:
    """Yield file, line and message of each that does not load, as the code server finds it."""
    # Dagster takes half a second, and most have no assets of their own.
    from factory_assets.components.merging import shared_resources
    from factory_assets.components.model_pipeline import build_pipeline
    from factory_assets.components.user_assets import load_user_assets

    parts, resources = [], shared_resources()
    for folder in pipeline_folders():
        # What is wrong with it is another problem.
        with suppress(FactoryError):
            parts.append(build_pipeline(load_beside_others(folder)))
    for folder in asset_folders():
        try:
            parts.append(load_user_assets(folder, parts, resources, with_others=True))
        except DeclarationError as error:
            file, _, line = error.where.rpartition(":")
            yield file, int(line), f"{error.what}; {error.remedy}"


def main() -> None:
    """Print the problems as JSON, apart from what the user's modules print."""
    with redirect_stdout(sys.stderr):
        found = [*_problems()]
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main()
