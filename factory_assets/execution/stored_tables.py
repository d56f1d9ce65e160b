"""What of the factory's store `factory gc` may remove, and removing it there."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from factory_resources.home.garbage import Garbage, Kind
from factory_resources.home.home import Home
from factory_resources.store.location import uses_store
from factory_resources.store.store import SharedStore, is_table_file, shared_store

_SHARED: frozenset[Kind] = frozenset({"record", "run", "picture", "table file"})


@dataclass(frozen=True)
class StoredTables:
    """The files of tables that a store has had for longer than the retention time.

    A younger one may be of another home that has not named it yet.
    """

    store: SharedStore | None
    """None if the home has no store."""
    files: Mapping[Path, int]
    """Each with its bytes."""

    @classmethod
    def of(cls, home: Home, seconds: int) -> "StoredTables":
        """Return those of a home's store; none if it has no store.

        Args:
            seconds: the retention time.

        Raises:
            StorageError: the store cannot be used.
        """
        store = shared_store(home) if uses_store(home) else None
        if store is None:
            return cls(None, MappingProxyType({}))
        until = time.time() - seconds
        listed = (one for one in store.client.list("tables/") if is_table_file(one.key))
        return cls(store, {home.path / o.key: o.bytes for o in listed if o.modified <= until})

    def remove(self, garbage: Iterable[Garbage]) -> None:
        """Remove garbage from the store; what the home has of it is removed afterwards."""
        for item in garbage if self.store else ():
            if item.kind in _SHARED and (item.kind != "table file" or item.path in self.files):
                assert self.store is not None
                self.store.remove(item.path)
