"""Find files of the whole factory that nobody reads, since only the first folder's count, and
declarations that everybody may write.
"""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from factory_assets.declarations.folders import (
    DEFS,
    SETTINGS,
    every_pipeline_folder,
    new_pipelines_folder,
)
from factory_assets.declarations.loader import Problem, defs_folders
from factory_assets.declarations.people import FILE as PEOPLE


def folder_warnings(_: Sequence[str] = ()) -> list[Problem]:
    """Return each `factory.yaml` and `people.yaml` in another folder than the first.

    Whoever wrote it believes that its alerts are sent, or that its people may log in.
    """
    first = new_pipelines_folder()
    return [
        Problem(folder / name, 1, "", f"not read: only {first / name} is, in the first folder")
        for folder in dict.fromkeys(defs_folders())
        if folder not in (first, DEFS)
        for name in (SETTINGS, PEOPLE)
        if (folder / name).exists()
    ]


def writable_warnings(_: Sequence[str] = ()) -> list[Problem]:
    """Return, for each folder of pipelines, what every user of this machine may write in it.

    It says who has which role, and which code runs as the user of the factory.
    """
    return [problem for folder in dict.fromkeys(defs_folders()) if (problem := _writable(folder))]


def _writable(folder: Path) -> Problem | None:
    found = [path for path in _declarations(folder) if _is_writable_by_all(path)]
    if not found:
        return None
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    remedy = f"chmod -R o-w {shlex.quote(str(folder))}"
    what = "and so decide what runs here and who comes in"
    return Problem(
        found[0], 1, "", f"every user of this machine may write it{more}, {what}; {remedy}"
    )


def _declarations(folder: Path) -> Iterator[Path]:
    """Yield the files that are read of a folder of pipelines, and the folders they are in."""
    yield from (folder, *sorted(folder.glob("*.yaml")))
    for pipeline in every_pipeline_folder():
        if pipeline.parent == folder:
            yield from (pipeline, *sorted(pipeline.glob("*.yaml")), *sorted(pipeline.glob("*.py")))


def _is_writable_by_all(path: Path) -> bool:
    # It may be gone by now.
    with suppress(OSError):
        return bool(path.stat().st_mode & 0o002)
    return False
