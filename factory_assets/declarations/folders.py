"""The folders of pipelines: the shipped one, and those that the environment names.

What is in a folder belongs in `loader`, which takes a quarter of a second to import.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

DEFS = Path(__file__).resolve().parent.parent / "defs"
"""The folder of the shipped pipelines."""

FILE = "defs.yaml"

ASSETS_FILE = "assets.py"

SETTINGS = "factory.yaml"

_CONTRACT = re.compile(rb"""\bcontract:\s*(?:\{?\s*file:\s*)?["']?([^\s"',{}\[\]#]+)""")
"""How a declaration names its contract's file, or what else is written there."""

RENAME = "rename one of the folders"
"""What to do about a pipeline that is declared again."""


def defs_folders() -> list[Path]:
    """Return the folders of pipelines: the shipped one, then those in FACTORY_DEFS."""
    return [folder.resolve() for folder in named_folders()]


def named_folders() -> list[Path]:
    """Return the folders of pipelines by the names that they were given, which may be links."""
    named = os.environ.get("FACTORY_DEFS", "").split(os.pathsep)
    extra = (os.path.expanduser(folder) for folder in named if folder.strip())
    return [DEFS, *(Path(folder).absolute() for folder in extra)]


def keep_named_folders() -> None:
    """Let settings that name folders mean the same to processes with another working folder.

    Such are services, and a run inside a boundary that does not see the present folder.
    """
    # Somebody may have removed the present folder; then no relative path leads anywhere.
    with suppress(FileNotFoundError):
        for name in {"FACTORY_HOME", "FACTORY_DEFS", "FACTORY_SECRETS"} & os.environ.keys():
            value = os.environ[name]
            folders = value.split(os.pathsep) if name == "FACTORY_DEFS" else [value]
            found = (os.path.expanduser(folder) for folder in folders if folder.strip())
            os.environ[name] = os.pathsep.join(str(Path(folder).absolute()) for folder in found)
        if modules := os.environ.get("PYTHONPATH"):
            # As Python reads it: the present folder, too, may stand there as an empty name.
            absolute = map(os.path.abspath, modules.split(os.pathsep))
            os.environ["PYTHONPATH"] = os.pathsep.join(absolute)


def every_pipeline_folder() -> list[Path]:
    """Return each folder with a `defs.yaml`, by place and name; names may repeat between places."""
    return [
        file.parent
        for folder in dict.fromkeys(defs_folders())
        for file in sorted(folder.glob(f"*/{FILE}"))
    ]


def declared_files() -> list[tuple[str, int, int, int]]:
    """Return the files in which pipelines and assets are declared, and the code beside them, each
    with its time of change, number and size: what tells, reading what changed alone, whether any is
    another than before."""
    declarations = [folder / FILE for folder in every_pipeline_folder()]
    found = [*_states([*declarations, settings_file(), *_modules()])]
    return [*found, *_states(file for one in found for file in _contract_files(*one))]


def _modules() -> Iterator[Path]:
    """Yield the Python modules in the folders of pipelines and assets, by place and name."""
    for folder in dict.fromkeys(defs_folders()):
        for beside in sorted(folder.glob("*")):
            # It may be gone by now.
            with suppress(OSError):
                yield from sorted(beside.glob("*.py"))


def _states(files: Iterable[Path]) -> Iterator[tuple[str, int, int, int]]:
    for file in files:
        # It may be gone by now.
        with suppress(OSError, ValueError):
            stat = file.stat()
            yield str(file), stat.st_mtime_ns, stat.st_ino, stat.st_size


@lru_cache(10_000)
def _contract_files(name: str, *_: int) -> tuple[Path, ...]:
    """Return what may be the contract's file of a declaration, which is read but not parsed.

    Args:
        name: of the file; what follows tells whether it is another than before.
    """
    file = Path(name)
    with suppress(OSError):
        named = _CONTRACT.findall(file.read_bytes()) if file.name == FILE else []
        return tuple(file.resolve().parent / os.fsdecode(one) for one in named)
    return ()


def asset_folders() -> list[Path]:
    """Return each folder with Dagster assets of the user's, ordered by place and name."""
    return [
        file.parent
        for folder in dict.fromkeys(defs_folders())
        for file in sorted(folder.glob(f"*/{ASSETS_FILE}"))
    ]


def declared_again() -> dict[Path, str]:
    """Return each folder of a pipeline whose name an earlier folder has, with what is wrong."""
    first: dict[str, Path] = {}
    return {
        folder: f"pipeline {folder.name!r} is also declared in {first[folder.name]}"
        for folder in every_pipeline_folder()
        if first.setdefault(folder.name, folder) != folder
    }


def pipeline_folders() -> list[Path]:
    """Return the folders of the pipelines, as `folders_by_name` does."""
    return [*folders_by_name().values()]


def folders_by_name() -> dict[str, Path]:
    """Return the folder of each pipeline; of two with the same name, the first.

    `factory check` reports the second, and `factory run` runs neither.
    """
    by_name: dict[str, Path] = {}
    for folder in every_pipeline_folder():
        by_name.setdefault(folder.name, folder)
    return by_name


def new_pipelines_folder() -> Path:
    """Return where a new pipeline goes: the first folder in FACTORY_DEFS, else the shipped one."""
    return defs_folders()[:2][-1]


def settings_file() -> Path:
    """Return the file with the settings of the whole factory; there may be none."""
    return new_pipelines_folder() / SETTINGS
