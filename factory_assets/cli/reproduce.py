"""`factory reproduce`: train a model version again and report the differences, as text or JSON.

The training and the comparison belong in `factory_assets.audit`.
"""

from collections.abc import Iterator

from rich.console import Console

from factory_assets.audit.model_diff import Difference, FileDifference
from factory_assets.audit.references import parse_model
from factory_assets.audit.reproduce import (
    EnvironmentChange,
    RecordedVersion,
    Reproduction,
    find_recorded_training,
    reproduce,
)
from factory_assets.audit.resolver import find_model
from factory_assets.cli.wrapping import wrap_line, wrap_lines
from factory_assets.declarations.loader import folders_by_name
from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry

MAX_PLACES = 20
"""How many differing places of a file are listed; the others are counted."""


def require_version(name: str, home: Home) -> None:
    """Require that there is the version, before anything is made for its training.

    Raises:
        UnknownNameError: there is not.
    """
    find_model(parse_model(name), Registry(home))


def run_reproduce(name: str, console: Console) -> Reproduction:
    """Train the version again; print differences of the environment before the training starts.

    Raises:
        FactoryError: as `find_recorded_training` and `reproduce`.
    """
    home = Home.from_env()
    folders = folders_by_name()
    original = find_recorded_training(name, home, folders)
    for line in environment_lines(original):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    with console.status(original.name) as status:
        return reproduce(original, home, status.update)


def environment_lines(original: RecordedVersion) -> Iterator[str]:
    """Yield the lines about differences between the recorded environment and today's."""
    if not original.environment:
        yield f"{original.name}: {_SAME_ENVIRONMENT}"
        return
    yield f"{original.name}: the environment differs from the original training; training anyway"
    yield from (line for change in original.environment for line in wrap_line(_change(change)))


_SAME_ENVIRONMENT = "code, libraries and machine are the same as in the original training"


def reproduction_text(result: Reproduction) -> str:
    """Return the result for a terminal, in lines of at most `WIDTH` characters."""
    return wrap_lines(_lines(result))


def _lines(result: Reproduction) -> Iterator[str]:
    if result.identical:
        yield f"{result.name}: identical, sha256:{result.digest_now} ({result.seconds:.1f} s)"
        return
    yield f"{result.name}: DIFFERS ({result.seconds:.1f} s)"
    yield f"  recorded sha256:{result.digest_recorded}"
    yield f"  now      sha256:{result.digest_now}"
    for file in result.files:
        yield from _file(file)
    for metric in result.metrics:
        yield f"  validation {metric.metric}: {metric.recorded:.6g}, now {metric.now:.6g}"
    if not result.environment:
        yield f"  unexpected: {_SAME_ENVIRONMENT}"


def _file(file: FileDifference) -> Iterator[str]:
    yield f"  {file.name}: {_STATES[file.state]}"
    yield from (f"    {_place(place)}" for place in file.places[:MAX_PLACES])
    if len(file.places) > MAX_PLACES:
        yield f"    and {len(file.places) - MAX_PLACES:,} more places"


_STATES = {"other": "differs", "missing": "is no longer written", "new": "was not written before"}


def _place(place: Difference) -> str:
    if place.difference is None:
        return f"{place.at}: {place.what}".removeprefix(": ")
    return f"{place.at}: largest difference {place.difference:.3g}"


def _change(change: EnvironmentChange) -> str:
    return f"  {change.what}: {change.recorded}, now {change.now}"
