"""`factory gc`: list the files that nothing needs any more, and remove them on request.

Which files are needed is decided in `factory_assets.execution.retention`.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby

from factory_assets.cli.shared import require_no_run
from factory_assets.erasure.intents import require_finished
from factory_assets.execution.removals import append_removed
from factory_assets.execution.retention import DEFAULT, find_garbage
from factory_assets.execution.stored_tables import StoredTables
from factory_assets.serving.answer_retention import apply_retention
from factory_resources.durations import seconds_of
from factory_resources.home.disk_space import size_text
from factory_resources.home.garbage import Garbage, remove
from factory_resources.home.home import Home
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tracking.registry import Registry

RETENTION_VARIABLE = "FACTORY_KEEP"
"""Environment variable with the default retention time."""


def collect_garbage(older_than: str | None, apply: bool) -> list[Garbage]:
    """Return what can be removed; with `apply`, it has been removed.

    Then old answers were archived as well, and those past their declared time removed.

    Raises:
        StorageError: a run is working, a record is damaged, or a file cannot be removed.
        UnknownNameError: `older_than` is not a duration.
    """
    seconds = seconds_of(older_than or os.environ.get(RETENTION_VARIABLE) or DEFAULT)
    home = Home.from_env()
    if not home.path.is_dir():
        return []
    with home.alone():
        require_no_run(home)
        # Nothing names yet what it has written.
        require_finished(home)
        stored = StoredTables.of(home, seconds)
        garbage = find_garbage(home, Registry(home).versions(), seconds, stored=stored.files)
        if apply:
            append_removed(garbage, home)
            stored.remove(garbage)
            remove(garbage)
            with PredictionLog(home) as log:
                apply_retention(log, home, datetime.now(UTC).date())
    return garbage


def listing(garbage: list[Garbage], *, every: bool) -> Iterator[str]:
    """Yield a line for each kind of garbage and reason; with `every`, also one for each file."""

    def reason(item: Garbage) -> tuple[str, str]:
        return item.kind, item.why

    for (kind, why), group in groupby(sorted(garbage, key=reason), key=reason):
        items = list(group)
        total = sum(item.bytes for item in items)
        yield f"{len(items):>7,} {kind:<10} {size_text(total):>9}  {why}"
        if every:
            yield from (f"          {item.path}" for item in items)


def total(garbage: list[Garbage]) -> str:
    """Return the number of items and their size, such as `3 items, 1.2 MB`."""
    items = "item" if len(garbage) == 1 else "items"
    return f"{len(garbage):,} {items}, {size_text(sum(item.bytes for item in garbage))}"
