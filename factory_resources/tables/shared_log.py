"""The Delta log of a table that is in a store, of which the home has a copy.

A commit is stored unless somebody else has stored one of its number before: Delta's conditional
put. A commit that the home alone has does not count, and is withdrawn.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from factory_resources.delta_protocol import (
    LAST_CHECKPOINT,
    LOG,
    commit_path,
    newest_commit,
    withdraw_commits,
)
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.store.client import StoredObject
from factory_resources.store.copies import COPIED, copy_changed
from factory_resources.store.store import SharedStore, in_parallel, note_file, shared_store

_CHECKPOINT = ".checkpoint.parquet"


@dataclass(frozen=True)
class SharedLog:
    """The log of one table.

    Args:
        table: `<pipeline>/<name>`. The caller holds the table's lock.
    """

    store: SharedStore
    table: str

    def catch_up(self) -> None:
        """Let the home's copy be what the store has.

        Raises:
            StorageError: the store has lost a commit that the home knows.
        """
        known = self._known()
        after = f"{self._prefix}{known:020}" if known >= 0 else ""
        names = self._names(self.store.client.list(self._prefix, after=after))
        if known >= 0 and f"{known:020}.json" not in names:
            raise StorageError(
                f"commit {known} of the table's log is gone, which this home knows",
                where=f"{self.store.address}/{self._prefix}",
                remedy="find out who removed it, and put it back from a backup of the storage",
            )
        self._take_over(names)

    def take_over(self, listed: Iterable[StoredObject]) -> None:
        """Do the same with what was listed of the store a moment ago."""
        names = self._names(listed)
        if _newest(names) < self._known():
            # This home has published meanwhile, or something is wrong.
            self.catch_up()
        else:
            self._take_over(names)

    def _take_over(self, names: Mapping[str, str]) -> None:
        known, newest = self._known(), _newest(names)
        withdraw_commits(self._folder, known)
        wanted = [n for n in sorted(names) if n[:1].isdecimal() and int(n[:20]) > known]
        if newest > known and LAST_CHECKPOINT in names:
            wanted.append(LAST_CHECKPOINT)
        contents = in_parallel(self.store.client.read, [names[name] for name in wanted])
        for name, content in zip(wanted, contents, strict=True):
            if content is not None and (name != LAST_CHECKPOINT or self._has_checkpoint(content)):
                self.store.home.write_atomic(self._folder / LOG / name, content)
        self._note(newest)

    def _names(self, listed: Iterable[StoredObject]) -> dict[str, str]:
        return {one.key.rpartition("/")[2]: one.key for one in listed}

    def publish(self) -> bool:
        """Store the files and the commits that the home added; return whether nobody was first.

        If somebody was, the home's commits are withdrawn when it catches up.
        """
        for number in range(self._known() + 1, newest_commit(self._folder) + 1):
            path = commit_path(self._folder, number)
            content = path.read_bytes()
            self.store.upload([self._folder / name for name in _added(content)])
            key = f"{self._prefix}{path.name}"
            # If the answer was lost, the commit is found to be there when it is tried again.
            if not self.store.client.write(key, content, new=True):
                return False
            self._note(number)
        self._publish_checkpoint()
        return True

    def _publish_checkpoint(self) -> None:
        path = self._folder / LOG / f"{newest_commit(self._folder):020}{_CHECKPOINT}"
        if path.is_file():
            for one in (path, path.with_name(LAST_CHECKPOINT)):
                self.store.write(one, one.read_bytes())

    def _has_checkpoint(self, content: bytes) -> bool:
        version = json.loads(content)["version"]
        return (self._folder / LOG / f"{version:020}{_CHECKPOINT}").is_file()

    @property
    def _folder(self) -> Path:
        return self.store.home.tables / self.table

    @property
    def _prefix(self) -> str:
        return f"tables/{self.table}/{LOG}/"

    @property
    def _note_file(self) -> Path:
        return note_file(self.store.home, self.table)

    def _known(self) -> int:
        """Return the number of the newest commit that is in the store and in the home."""
        try:
            return int(self._note_file.read_text())
        except FileNotFoundError:
            return -1

    def _note(self, number: int) -> None:
        if number != self._known():
            self.store.home.write_atomic(self._note_file, str(number).encode())


def catch_up(home: Home, pipeline: str | None = None) -> None:
    """Fetch what other homes have put in the store: records, models, plots, and logs of tables.

    Args:
        pipeline: only the records of this one.

    Raises:
        StorageError: the store cannot be used, or belongs to another factory.
    """
    store = shared_store(home)
    if store is None or not store.is_claimed():
        return
    with home.lock("store"):
        if pipeline is not None:
            below = (f"records/{pipeline}/",)
            copy_changed(store, store.client.list(*below), below)
            return
        listed = [*store.client.list("")]
        copy_changed(store, (one for one in listed if one.key.startswith(COPIED)), COPIED)
    for table, log in _logs(listed):
        with home.lock(f"{table.replace('/', '.')}.log"):
            SharedLog(store, table).take_over(log)


def _logs(listed: list[StoredObject]) -> Iterator[tuple[str, list[StoredObject]]]:
    """Yield each table that has a log with the objects of that log."""
    logs: dict[str, list[StoredObject]] = {}
    for one in listed:
        folder = one.key.rpartition("/")[0]
        if folder.startswith("tables/") and folder.endswith(f"/{LOG}"):
            logs.setdefault(folder.removeprefix("tables/").removesuffix(f"/{LOG}"), []).append(one)
    yield from logs.items()


def _newest(names: Iterable[str]) -> int:
    """Return the number of the newest commit among the files of a log; -1 if there is none."""
    commits = (name for name in names if name[20:] == ".json" and name[:20].isdecimal())
    return int(max(commits, default="-1").removesuffix(".json"))


def _added(commit: bytes) -> Iterator[str]:
    """Yield the names of the files that a commit adds to the table."""
    for line in commit.splitlines():
        if "add" in (action := json.loads(line)):
            yield action["add"]["path"]
