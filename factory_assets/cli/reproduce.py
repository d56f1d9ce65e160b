"""`factory reproduce`: train a version again and say what differs, as text or as JSON."""

from collections.abc import Iterator

from rich.console import Console

from factory_assets.audit.model_diff import Apart, FileApart
from factory_assets.audit.reproduce import (
    EnvironmentChange,
    Recorded,
    Reproduction,
    recorded,
    reproduce,
)
from factory_assets.cli.shared import fit_width
from factory_assets.declarations.loader import pipeline_folders
from factory_resources.home.home import Home

SHOWN = 20
"""Of more places in a file than this, only the number is told."""


def run_reproduce(name: str, console: Console) -> Reproduction:
    """Train again; what differs beforehand is told at once.

    Raises:
        FactoryError: as `recorded` and `reproduce` do.
    """
    home = Home.from_env()
    folders = {folder.name: folder for folder in pipeline_folders()}
    found = recorded(name, home, folders)
    for line in beforehand(found):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    with console.status(found.name) as status:
        return reproduce(found, home, status.update)


def beforehand(found: Recorded) -> Iterator[str]:
    """What is not as it was, before anything is trained."""
    if not found.environment:
        yield f"{found.name}: code, libraries and machine are those that trained it"
        return
    yield f"{found.name}: not all is as it was when it was trained; training all the same"
    yield from (line for changed in found.environment for line in fit_width(_changed(changed)))


def reproduction_json(found: Reproduction) -> str:
    return found.model_dump_json(indent=1) + "\n"


def reproduction_text(found: Reproduction) -> str:
    """The result for a person."""
    return "\n".join(line for told in _lines(found) for line in fit_width(told)) + "\n"


def _lines(found: Reproduction) -> Iterator[str]:
    if found.identical:
        yield f"{found.name}: identical, sha256:{found.digest_now} ({found.seconds:.1f} s)"
        return
    yield f"{found.name}: DIFFERS ({found.seconds:.1f} s)"
    yield f"  recorded sha256:{found.digest_recorded}"
    yield f"  now      sha256:{found.digest_now}"
    for file in found.files:
        yield from _file(file)
    for moved in found.metrics:
        yield f"  validation {moved.metric}: {moved.recorded:.6g}, now {moved.now:.6g}"
    if not found.environment:
        yield "  code, libraries and machine are those that trained it: this should not be"


def _file(file: FileApart) -> Iterator[str]:
    yield f"  {file.name}: {_STATES[file.state]}"
    yield from (f"    {_place(place)}" for place in file.places[:SHOWN])
    if len(file.places) > SHOWN:
        yield f"    and {len(file.places) - SHOWN:,} places more"


_STATES = {"other": "differs", "missing": "is not made any more", "new": "was not made before"}


def _place(place: Apart) -> str:
    if place.difference is None:
        return f"{place.at}: {place.what}".removeprefix(": ")
    return f"{place.at}: largest difference {place.difference:.3g}"


def _changed(changed: EnvironmentChange) -> str:
    return f"  {changed.what}: {changed.recorded}, now {changed.now}"
