"""Remove what is computed again when it is needed, whatever is in it."""

import shutil
from collections.abc import Collection

from factory_resources.home.garbage import left_behind, remove, waste
from factory_resources.home.home import Home, storage_errors
from factory_resources.tracking.records import unfinished_records


def drop_caches(home: Home, pipelines: Collection[str]) -> dict[str, int]:
    """Remove previews, profiles, checkpoints of pipelines, and what killed processes left.

    Previews and profiles are named by digests, so those of all pipelines go.

    Returns:
        How many files were removed, by folder.

    Raises:
        StorageError: one cannot be removed.
    """
    folders = [home.pictures / "previews", home.path / "profiles"]
    folders += [home.checkpoints / name for name in sorted(pipelines)]
    found: dict[str, int] = {}
    for folder in folders:
        if files := sum(path.is_file() for path in folder.rglob("*")):
            found[str(folder.relative_to(home.path))] = files
        with storage_errors(folder):
            if folder.is_dir():
                shutil.rmtree(folder)
    scratch = [item for item in left_behind(home) if item.kind == "scratch"]
    remove(scratch)
    if scratch:
        found["tmp"] = len(scratch)
    if unfinished := unfinished_records(home):
        remove([waste(path, "scratch", "an unfinished record") for path in unfinished])
        found["records"] = len(unfinished)
    return found
