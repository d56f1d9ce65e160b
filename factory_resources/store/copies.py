"""Copies in the home of the records, models and plots that are in its store.

Which of them are as they are there is noted, so that an unchanged one is neither read nor fetched.
"""

import json
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from factory_resources.home.home import Home
from factory_resources.store.client import StoredObject
from factory_resources.store.store import SharedStore, etag_of, in_parallel

COPIED = ("records/", "artifacts/", "pictures/")
"""What `catch_up` fetches as a whole; of tables it is the logs alone."""

_State = list[str | int]
"""The tag of an object, and size and time of the home's copy when that was equal."""


def copy_changed(
    store: SharedStore, listed: Iterable[StoredObject], below: tuple[str, ...]
) -> None:
    """Fetch the records, models and plots that are not as they are in the store.

    Args:
        listed: all that the store has below these prefixes.
    """
    index = _read_index(store.home)
    known = {key: state for key, state in index.items() if not key.startswith(below)}
    changed = []
    for one in listed:
        path = store.home.path / one.key
        state = [one.tag, *_state(path)]
        if index.get(one.key) == state or (path.is_file() and etag_of(path) == one.tag):
            known[one.key] = state
        else:
            changed.append(one)
    known |= in_parallel(partial(_copy, store), changed)
    if known != index:
        store.home.write_atomic(_index_file(store.home), json.dumps(known).encode())


def _copy(store: SharedStore, one: StoredObject) -> tuple[str, _State]:
    path = store.home.path / one.key
    with store.downloaded(path):
        pass
    if path.is_file():
        # `factory gc` asks how old it is.
        os.utime(path, (one.modified, one.modified))
    return one.key, [one.tag, *_state(path)]


def _index_file(home: Home) -> Path:
    return home.path / "store" / "copied.json"


def _read_index(home: Home) -> dict[str, _State]:
    try:
        found = json.loads(_index_file(home).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _state(path: Path) -> _State:
    """Return what changes when a file is written; nothing if there is none."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
