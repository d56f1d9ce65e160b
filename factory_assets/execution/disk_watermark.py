"""Stop new runs before the disk is full; those that have begun go on.

How space is measured belongs in `factory_resources.home.disk_space`.
"""

import os
from datetime import UTC, datetime

from factory_assets.declarations.folders import SETTINGS, settings_file
from factory_resources.errors import StorageError
from factory_resources.home.disk_space import (
    KEEP_VARIABLE,
    disk_space,
    note_space,
    size_text,
)
from factory_resources.home.home import Home
from factory_resources.ledger.entries import RunStarted
from factory_resources.ledger.ledger import Ledger


def declared_keep() -> str | None:
    """Return what is to be left free, such as `2GB`; None for the default.

    Raises:
        DeclarationError: `factory.yaml` is wrong.
    """
    if asked := os.environ.get(KEEP_VARIABLE):
        return asked
    if not settings_file().exists():
        return None
    # It takes a quarter of a second to import.
    from factory_assets.declarations.settings import load_settings

    declared = load_settings()
    return declared.settings.disk.keep if declared and declared.settings.disk else None


def low_space(home: Home) -> str | None:
    """Return in words how little is free; None if it is enough.

    Raises:
        DeclarationError: `factory.yaml` is wrong.
    """
    space = disk_space(home)
    floor = space.floor(declared_keep())
    if space.free >= floor:
        return None
    return f"{size_text(space.free)} are free on its disk, but {size_text(floor)} must stay free"


def require_disk_space(home: Home, run_id: str) -> None:
    """Refuse to begin a run if less is free than is to be left; note how much is.

    Args:
        run_id: a run that has stored something goes on: that space is left for it.

    Raises:
        StorageError: too little is free.
    """
    note_space(home, datetime.now(UTC))
    low = low_space(home)
    if low is None or _has_begun(home, run_id):
        return
    raise StorageError(
        f"no new run starts: {low}",
        where=str(home.path),
        remedy="free space (factory gc shows what may be removed), or declare another "
        f"`disk: {{keep: 2GB}}` in {SETTINGS}; {KEEP_VARIABLE}=0 starts runs all the same",
    )


def _has_begun(home: Home, run_id: str) -> bool:
    ledger, subject = Ledger(home), RunStarted.subject_of(run=run_id)
    return ledger.exists and ledger.latest(RunStarted, subject) is not None
