"""`factory gc`: shows what nothing needs any more, and removes it when told to."""

import os
from collections.abc import Iterator
from itertools import groupby

from factory_assets.execution.retention import DEFAULT, find_waste, seconds_of
from factory_resources.errors import StorageError
from factory_resources.home.garbage import Garbage, remove
from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry

VARIABLE = "FACTORY_KEEP"
"""Its value is how long what nothing else needs is kept."""


def collect(older_than: str | None, apply: bool) -> list[Garbage]:
    """What can go; it is gone already with `apply`.

    Raises:
        StorageError: a run is working, a record is damaged, or the disk says no.
        UnknownNameError: `older_than` is no length of time.
    """
    seconds = seconds_of(older_than or os.environ.get(VARIABLE) or DEFAULT)
    home = Home.from_env()
    if not home.path.is_dir():
        return []
    with home.alone():
        _require_no_run(home)
        found = find_waste(home, Registry(home).versions(), seconds)
        if apply:
            remove(found)
    return found


def listing(found: list[Garbage], *, every: bool) -> Iterator[str]:
    """A line for each kind of waste and reason, or for each file."""

    def reason(item: Garbage) -> tuple[str, str]:
        return item.kind, item.why

    for (kind, why), group in groupby(sorted(found, key=reason), key=reason):
        items = list(group)
        total = sum(item.bytes for item in items)
        yield f"{len(items):>7,} {kind:<10} {_size(total):>9}  {why}"
        if every:
            yield from (f"          {item.path}" for item in items)


def total(found: list[Garbage]) -> str:
    return f"{len(found):,} in all, {_size(sum(item.bytes for item in found))}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _require_no_run(home: Home) -> None:
    """Also between two stages a run needs what it has made."""
    if not (home.dagster / "dagster.yaml").is_file():
        return
    import dagster as dg

    from factory_assets.cli.shared import end_dead_runs
    from factory_resources.instance import prepare

    prepare(home)
    status = dg.DagsterRunStatus
    under_way = [status.STARTING, status.STARTED, status.CANCELING]
    with dg.DagsterInstance.get() as instance:
        end_dead_runs(instance)
        runs = instance.get_runs(dg.RunsFilter(statuses=under_way))
    if runs:
        raise StorageError(
            f"run {runs[0].run_id[:8]} of {runs[0].job_name} is under way",
            where=str(home.path),
            remedy="wait until it has ended, or end it in the UI",
        )
