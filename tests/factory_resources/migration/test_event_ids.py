"""The ids of Dagster's events in one table: order, references and cursors."""

import base64
import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_resources.migration.event_ids import (
    EventIds,
    EventLog,
    rename_in_cursor,
    rename_in_event,
    rename_in_record,
)


def _store(file: Path, events: Sequence[tuple[int, str, str]]) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE event_logs (id INTEGER PRIMARY KEY, run_id, event)")
        connection.executemany("INSERT INTO event_logs VALUES (?, ?, ?)", events)
        connection.commit()


def _ids(folder: Path) -> tuple[EventIds, dict[tuple[str, str], int]]:
    log = EventLog(folder, ["run_id", "event"])
    with closing(sqlite3.connect(folder / "index.db")) as index:
        [(last,)] = index.execute("SELECT coalesce(max(id), 0) FROM event_logs")
    ids = EventIds(log, last)
    found = [(row, new) for run in ids.events() for row, new in zip(*run, strict=True)]
    return ids, {(row[0], row[1]): new for row, new in found}


def test_events_keep_their_order_between_those_of_the_index(tmp_path: Path) -> None:
    _store(tmp_path / "index.db", [(7, "a", "a2"), (8, "b", "b1"), (12, "a", "a4")])
    _store(tmp_path / "a.db", [(n, "a", f"a{n}") for n in range(1, 6)])
    _store(tmp_path / "b.db", [(1, "b", "b1"), (2, "b", "b2")])
    _store(tmp_path / "c.db", [(1, "c", "c1")])
    ids, places = _ids(tmp_path)
    order = [event for _, event in sorted(places, key=places.__getitem__)]
    assert order == ["c1", "a1", "a2", "a3", "b1", "b2", "a4", "a5"]
    assert ids.renamed(7) == places["a", "a2"] >= 7
    assert ids.renamed(12) == places["a", "a4"] >= 12
    # After the id of a removed event come the same events as before.
    assert places["b", "b2"] <= ids.renamed(10) < places["a", "a4"]


def test_an_event_of_the_index_whose_run_has_no_file_is_kept(tmp_path: Path) -> None:
    _store(tmp_path / "index.db", [(3, "gone", "one"), (4, "", "without a run")])
    _store(tmp_path / ".db", [(1, "", "without a run")])
    _, places = _ids(tmp_path)
    assert [*places] == [("", "without a run"), ("gone", "one")]
    assert places["gone", "one"] < places["", "without a run"]


def test_the_order_of_the_index_counts_if_two_processes_stored_events_at_once(
    tmp_path: Path,
) -> None:
    _store(tmp_path / "index.db", [(7, "a", "a2"), (8, "a", "a1")])
    _store(tmp_path / "a.db", [(1, "a", "a1"), (2, "a", "a2"), (3, "a", "a3")])
    ids, places = _ids(tmp_path)
    assert sorted(places, key=places.__getitem__) == [("a", "a2"), ("a", "a1"), ("a", "a3")]
    assert (ids.renamed(7), ids.renamed(8)) == (places["a", "a2"], places["a", "a1"])


def test_a_run_may_have_events_of_the_index_alone_beside_others_of_its_own(tmp_path: Path) -> None:
    _store(tmp_path / "index.db", [(2, "b", "lost")])
    _store(tmp_path / "a.db", [(1, "a", "a1"), (2, "a", "a2")])
    _store(tmp_path / "b.db", [(1, "b", "b1")])
    ids, places = _ids(tmp_path)
    assert sorted(places, key=places.__getitem__) == [
        ("a", "a1"), ("a", "a2"), ("b", "b1"), ("b", "lost"),
    ]  # fmt: skip
    assert ids.renamed(2) == places["b", "lost"]


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(1, 3)), max_size=25))
def test_ids_are_unique_ascend_and_are_never_smaller(
    tmp_path_factory: pytest.TempPathFactory, stored: list[tuple[int, bool, int]]
) -> None:
    folder = tmp_path_factory.mktemp("events")
    index: list[tuple[int, str, str]] = []
    runs: dict[str, list[tuple[int, str, str]]] = {}
    number = 0
    for place, (run, indexed, step) in enumerate(stored):
        event = (f"run {run}", f"event {place}")
        events = runs.setdefault(event[0], [])
        events.append((len(events) + 1, *event))
        if indexed:
            number += step
            index.append((number, *event))
    _store(folder / "index.db", index)
    for run_id, events in runs.items():
        _store(folder / f"{run_id}.db", events)
    ids, places = _ids(folder)
    assert len({*places.values()}) == len(stored)
    for events in runs.values():
        own = [places[run_id, event] for _, run_id, event in events]
        assert own == sorted(own)
    named = [places[run_id, event] for _, run_id, event in index]
    assert named == sorted(named) == [ids.renamed(old) for old, *_ in index]
    assert all(new >= old for new, (old, *_) in zip(named, index, strict=True))


def test_ids_in_texts_are_renamed_where_they_are_ids() -> None:
    def rename(number: int) -> int:
        return number + 100

    target = '"AssetCheckEvaluationTargetMaterializationData", "run_id": "a", "storage_id": '
    assert rename_in_event(f'{{"storage_id": 1, {target}2}}', rename) == (
        f'{{"storage_id": 1, {target}102}}'
    )
    assert rename_in_record('{"a": {"storage_id": 1}, "storage_id": 2}', rename) == (
        '{"a": {"storage_id": 1}, "storage_id": 102}'
    )
    packed = base64.b64encode(zlib.compress(b'{"last_event_id": 5, "n": 5}')).decode()
    changed = rename_in_cursor(f'{{"cursor": "0{packed}", "latest_storage_id": 7}}', rename)
    cursor = changed.split('"')[3]
    assert zlib.decompress(base64.b64decode(cursor[1:])) == b'{"last_event_id": 105, "n": 5}'
    assert changed.endswith('"latest_storage_id": 107}')
    assert rename_in_cursor('{"cursor": "0eJnothing"}', rename) == '{"cursor": "0eJnothing"}'
