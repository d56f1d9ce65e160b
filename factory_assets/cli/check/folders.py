"""Find files of the whole factory that nobody reads, since only the first folder's count."""

from collections.abc import Sequence

from factory_assets.declarations.folders import DEFS, SETTINGS, new_pipelines_folder
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
