"""What a home needs of a person, whatever its pipelines are."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta

from factory_assets.cli.status.report import Need
from factory_resources.backup.contents import JOURNAL
from factory_resources.durations import minute
from factory_resources.erasure.listed_manifests import require_manifests
from factory_resources.erasure.manifest import FINISH, stored_intents
from factory_resources.errors import StorageError
from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.home.disk_space import has_no_inode, is_read_only
from factory_resources.home.home import Home
from factory_resources.ledger.connection import in_postgres
from factory_resources.ledger.keys import key_file, require_closed, require_whole
from factory_resources.ledger.ledger import Ledger, entry_in
from factory_resources.ledger.ownership import foreign_ledger
from factory_resources.prediction_log.journal import DAMAGED
from factory_resources.prediction_log.segments import SEALED, read
from factory_resources.security.sessions import CLOCKS

_NEWEST = 100
"""How many of the last entries are compared with the clock. The very last one is not enough: a
login under a clock that is behind is an entry with that clock's time."""


def home_needs(home: Home, entries: int, now: datetime) -> Iterator[Need]:
    """Yield what a home needs.

    Args:
        entries: how many its ledger has.
    """
    yield from _erasures(home)
    yield from _lost_answers(home)
    yield from _damaged_answers(home)
    yield from _keyless(home, entries)
    yield from _clock_behind(home, entries, now)
    yield from _closed(home)


def _erasures(home: Home) -> Iterator[Need]:
    if stored_intents(home):
        yield Need(what="erasure not finished", pipeline=None, details=(FINISH,))
    try:
        require_manifests(home)
    except StorageError as error:
        yield Need(what="erasure manifest", pipeline=None, details=(str(error),))


def _lost_answers(home: Home) -> Iterator[Need]:
    for path in sorted((home.path / JOURNAL).glob(f"*{DAMAGED}")):
        detail = (
            f"the disk has changed bytes of {path}: the answers in them are lost, all others of it "
            "are on record; check the disk, then remove the file"
        )
        yield Need(what="answers lost", pipeline=None, details=(detail,))


def _damaged_answers(home: Home) -> Iterator[Need]:
    """Yield the segments that cannot be collected; who may not read them cannot know of it."""
    for path in sorted((home.path / JOURNAL).glob(f"*{SEALED}")):
        try:
            for _ in read(path) if os.access(path, os.R_OK) else ():
                pass
        except StorageError as error:
            # It may have been collected meanwhile.
            if path.exists():
                yield Need(what="answers damaged", pipeline=None, details=(str(error),))


def _keyless(home: Home, entries: int) -> Iterator[Need]:
    """Yield that the home lacks the key of its ledger, which on a server is perhaps another's.

    Or that the key is open to other users, so that nobody takes it, or damaged, or another's.

    Who may not see the key cannot know of it.
    """
    key = key_file(home)
    is_seen = os.access(key.parent, os.X_OK) or not os.path.exists(key.parent)
    if not entries or not is_seen:
        return
    if not os.path.exists(key):
        detail = (
            f"nothing can run: {key} is missing; copy it from the home that began the ledger, or "
            "from a backup; if that home is elsewhere, name it in FACTORY_HOME"
        )
        yield Need(what="ledger key missing", pipeline=None, details=(detail,))
        return
    try:
        require_closed(key)
    except StorageError as error:
        detail = f"nothing can run: {error}"
        yield Need(what="ledger key open", pipeline=None, details=(detail,))
        return
    try:
        require_whole(home)
    except StorageError as error:
        if os.access(key, os.R_OK):
            detail = f"nothing new can be entered in the ledger: {error}"
            yield Need(what="ledger key damaged", pipeline=None, details=(detail,))
        return
    if in_postgres() and os.access(key, os.R_OK) and (name := foreign_ledger(home)):
        detail = (
            f"nothing can run: the database of {DATABASE_VARIABLE} has the ledger of another "
            f"factory, {name}; name the database of this factory"
        )
        yield Need(what="database of another factory", pipeline=None, details=(detail,))


def _clock_behind(home: Home, entries: int, now: datetime) -> Iterator[Need]:
    """Yield that the clock is wrong, or was ahead: until it is as late, no schedule is due."""
    if not entries:
        return
    with Ledger(home).reading() as log:
        newest = range(max(0, entries - _NEWEST), entries)
        last = max(entry_in(log, number).time for number in newest)
    if last > f"{now + timedelta(seconds=CLOCKS):%Y-%m-%dT%H:%M:%SZ}":
        detail = (
            f"it shows {now:%Y-%m-%d %H:%M} UTC, but the ledger has an entry of "
            f"{minute(last)} UTC, until when schedules may wait; set it right, then "
            f"start the factory again (this line goes then, or after {_NEWEST} entries)"
        )
        yield Need(what="clock", pipeline=None, details=(detail,))


def _closed(home: Home) -> Iterator[Need]:
    if is_read_only(home):
        detail = "no run starts and nothing is answered; the log of the system says why"
        yield Need(what="disk read-only", pipeline=None, details=(detail,))
    elif has_no_inode(home):
        detail = "nothing can run: nobody can make a file there; remove files from that disk"
        yield Need(what="no inode left", pipeline=None, details=(detail,))
