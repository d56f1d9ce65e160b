"""`factory gc`: list what nothing needs any more, and remove it on request.

What is needed is decided in `factory_assets.execution`: of files in `retention`, of model versions
in `version_retention`.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from factory_assets.cli.shared import require_no_run
from factory_assets.declarations.settings import load_settings
from factory_assets.erasure.intents import require_finished
from factory_assets.execution.removals import append_removed
from factory_assets.execution.retention import DEFAULT, find_garbage
from factory_assets.execution.stored_tables import StoredTables
from factory_assets.execution.version_retention import unneeded_versions
from factory_assets.serving.answer_retention import apply_retention
from factory_resources.durations import seconds_of
from factory_resources.home.disk_space import size_text
from factory_resources.home.garbage import UNNAMED, Garbage, remove
from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import amount
from factory_resources.prediction_log.engines import has_store
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tracking.registry import Registry

RETENTION_VARIABLE = "FACTORY_KEEP"
"""Environment variable with the default retention time."""

_WHY = "older than those that stay, not in service, and none of their answers is on record"
"""Why versions may go."""


@dataclass(frozen=True)
class Waste:
    """What can be removed."""

    versions: Mapping[str, Sequence[int]]
    """Model versions, by model."""
    files: Sequence[Garbage]

    def __bool__(self) -> bool:
        return bool(self.versions or self.files)

    def __str__(self) -> str:
        """Return the number of items and their size, such as `3 items, 1.2 MB`."""
        counts = {"versions": sum(map(len, self.versions.values())), "items": len(self.files)}
        counted = [amount(number, what) for what, number in counts.items() if number]
        return ", ".join([*counted, size_text(sum(item.bytes for item in self.files))])


def collect_garbage(older_than: str | None, versions: int | None, apply: bool) -> Waste:
    """Return what can be removed; with `apply`, it has been removed.

    Then old answers were archived as well, and those past their declared time removed.

    Args:
        older_than: a duration. Default: the environment's, or `retention.DEFAULT`.
        versions: how many of the newest versions of each model stay. Default: as declared.

    Raises:
        StorageError: a run is working, a record is damaged, or a file cannot be removed.
        UnknownNameError: `older_than` is not a duration.
        DeclarationError: `factory.yaml` is wrong.
    """
    kept_for = os.environ.get(RETENTION_VARIABLE) or DEFAULT
    seconds = seconds_of(older_than) if older_than else seconds_of(kept_for, RETENTION_VARIABLE)
    newest = versions or _declared_versions()
    home = Home.from_env()
    if not home.path.is_dir():
        return Waste({}, [])
    with home.alone():
        require_no_run(home)
        # Nothing names yet what it has written.
        require_finished(home)
        registry = Registry(home)
        models = registry.versions()
        since = time.time() - seconds
        unneeded = unneeded_versions(home, models, newest, since) if newest else {}
        kept = {model: {*every} - {*unneeded.get(model, ())} for model, every in models.items()}
        stored = StoredTables.of(home, seconds)
        garbage = find_garbage(home, kept, seconds, stored=stored.files)
        if apply:
            # On a full disk there is no room for the entry about the others before these are gone.
            remove(item for item in garbage if item.kind in UNNAMED)
            for model, old in unneeded.items():
                for version in old:
                    registry.delete_version(model, version)
            append_removed(garbage, home)
            stored.remove(garbage)
            remove(garbage)
            if has_store(home):
                with PredictionLog(home) as log:
                    apply_retention(log, home, datetime.now(UTC).date())
    return Waste(unneeded, garbage)


def _declared_versions() -> int | None:
    declared = load_settings()
    return declared.settings.disk.versions if declared and declared.settings.disk else None


def listing(waste: Waste, *, every: bool) -> Iterator[str]:
    """Yield a line for each model and kind of garbage; with `every`, also one for each file."""
    for model, versions in waste.versions.items():
        yield f"{len(versions):>7,} {'version':<10} {'':>9}  {model}: {_WHY}"
        if every:
            yield from (f"          {model}@{version}" for version in versions)

    def reason(item: Garbage) -> tuple[str, str]:
        return item.kind, item.why

    for (kind, why), group in groupby(sorted(waste.files, key=reason), key=reason):
        items = list(group)
        total = sum(item.bytes for item in items)
        yield f"{len(items):>7,} {kind:<10} {size_text(total):>9}  {why}"
        if every:
            yield from (f"          {item.path}" for item in items)
