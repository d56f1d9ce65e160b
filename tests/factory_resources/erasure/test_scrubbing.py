"""After scrubbing, no scrubbed place has the value, and all else is as it was."""

import base64
import json
import sqlite3
import zlib
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings

from factory_resources.erasure import streams
from factory_resources.erasure.caches import drop_caches
from factory_resources.erasure.scrubbing import scrub
from factory_resources.erasure.search import find_values
from factory_resources.erasure.values import Value
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from schedules.settling import State
from tests.factory_resources.erasure.planting import SCRUBBED, VALUES, plant

NAME = "Zaphod7Qbeeble"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("planted") / "home")


@pytest.fixture(scope="module")
def scrubbed(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home with the words that its files have of themselves."""
    home = Home(tmp_path_factory.mktemp("scrubbed") / "home")
    plant(home.path, SCRUBBED, NAME)
    scrub(home, [NAME])
    return home


@settings(max_examples=60)
@given(value=VALUES)
@example(value='{"label": "rows"}')
@example(value='"Zaphod"')
@example(value="[1, 2]")
def test_no_place_has_the_value_afterwards(value: Value, planted: Home, scrubbed: Home) -> None:
    assume(not [*find_values(scrubbed, [value])])
    plant(planted.path, SCRUBBED, value)
    assert {one.path for one in find_values(planted, [value])} == SCRUBBED.keys()
    done = scrub(planted, [value])
    assert not [*find_values(planted, [value])]
    # Of rows that were removed there is nothing to count.
    assert {place.partition(":")[0] for place in done} == SCRUBBED.keys() - {"mlflow.db"}
    assert not scrub(planted, [value])
    with closing(sqlite3.connect(planted.path / "dagster/history/runs/index.db")) as connection:
        [(text,)] = set(connection.execute("SELECT event FROM event_logs"))
    assert json.loads(text) == {"metadata": "(erased)", "n": "x" * 500}


def test_a_log_keeps_its_size_and_the_rest_of_its_lines(home: Home) -> None:
    path = home.path / "logs" / "door.log"
    path.parent.mkdir(parents=True)
    path.write_text(f"10:00 asked {NAME}, twice {NAME}\n10:01 P-1042\n")
    with path.open("a") as service:
        assert scrub(home, [NAME, "P-1042"]) == {"logs/door.log": 3}
        service.write("10:02 on\n")
    assert path.read_text().split() == [
        *("10:00", "asked", "(erased)", ",", "twice", "(erased)"),
        *("10:01", "******", "10:02", "on"),
    ]


def test_a_long_log_is_scrubbed_piece_by_piece(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home.path / "logs" / "door.log"
    path.parent.mkdir(parents=True)
    monkeypatch.setattr(streams, "_PIECE", 64)
    lines = [f"{number} {NAME if number % 7 == 0 else 'Marvin'}\n" for number in range(200)]
    path.write_text("".join(lines))
    assert scrub(home, [NAME]) == {"logs/door.log": 29}
    assert path.read_text() == "".join(lines).replace(NAME, "(erased)      ")


def _database(home: Home, script: str) -> Path:
    path = home.path / "mlflow.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


def _rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_a_text_that_has_to_be_unique_gets_a_number(home: Home) -> None:
    path = _database(
        home,
        "CREATE TABLE parts (name TEXT, part VARCHAR(40), UNIQUE (name, part));"
        f"INSERT INTO parts VALUES ('a', '{NAME}'), ('a', 'P-1042'), ('b', '{NAME}');",
    )
    assert scrub(home, [NAME, "P-1042"]) == {"mlflow.db: parts.part": 3}
    names = {("a", "(erased)"), ("a", "(erased) 2"), ("b", "(erased)")}
    assert {*_rows(path, "SELECT * FROM parts")} == names


def test_a_text_that_a_database_does_not_accept_is_one_line_and_changes_nothing(home: Home) -> None:
    rows = f"('{NAME}', 'a'), ('{NAME}', 'b')"
    allowed = f"CHECK (kind IN ('{NAME}', 'other'))"
    path = _database(
        home, f"CREATE TABLE t (kind TEXT {allowed}, x TEXT); INSERT INTO t VALUES {rows};"
    )
    with pytest.raises(StorageError, match="cannot be replaced") as raised:
        scrub(home, [NAME])
    assert NAME not in str(raised.value)
    assert _rows(path, "SELECT * FROM t") == [(NAME, "a"), (NAME, "b")]


def test_rows_without_a_number_are_found_by_their_key(home: Home) -> None:
    path = _database(
        home,
        "CREATE TABLE tags (run TEXT, key TEXT, value TEXT, PRIMARY KEY (run, key)) WITHOUT ROWID;"
        f"INSERT INTO tags VALUES ('1', 'who', '{NAME}'), ('2', 'who', 'Marvin');",
    )
    assert scrub(home, [NAME]) == {"mlflow.db: tags.value": 1}
    assert _rows(path, "SELECT value FROM tags ORDER BY run") == [("(erased)",), ("Marvin",)]


def test_rows_are_found_by_their_key_after_it_was_replaced(home: Home) -> None:
    path = _database(
        home,
        "CREATE TABLE tags (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
        f"INSERT INTO tags VALUES ('{NAME}', 'it is {NAME}'), ('(erased)', 'Marvin');",
    )
    assert scrub(home, [NAME]) == {"mlflow.db: tags.key": 1, "mlflow.db: tags.value": 1}
    assert _rows(path, "SELECT * FROM tags ORDER BY key") == [
        ("(erased)", "Marvin"),
        ("(erased) 2", "it is (erased)"),
    ]


def test_moments_of_a_database_stay(home: Home) -> None:
    path = _database(
        home,
        "CREATE TABLE event_logs (timestamp DATETIME, event TEXT);"
        f"INSERT INTO event_logs VALUES ('2025-08-09 10:11:12', '{NAME} 2025-08-09 10:11:12');",
    )
    scrub(home, [NAME, datetime(2025, 8, 9, 10, 11, 12)])
    assert _rows(path, "SELECT * FROM event_logs") == [("2025-08-09 10:11:12", "(erased) (erased)")]


def test_numbers_of_json_become_null_and_ids_of_dagster_stay(home: Home) -> None:
    event = {
        "storage_id": 420_042,
        "rows": [420_042, 420_043, True],
        "n": "420042",
        NAME: 71.38091746,
    }
    text = json.dumps({"tags": json.dumps(event)})
    path = _database(home, f"CREATE TABLE kvs (value TEXT); INSERT INTO kvs VALUES ('{text}');")
    assert scrub(home, [420_042, NAME, 71.38091746]) == {"mlflow.db: kvs.value": 4}
    [(changed,)] = _rows(path, "SELECT value FROM kvs")
    assert json.loads(json.loads(changed)["tags"]) == {
        "storage_id": 420_042,
        "rows": [None, 420_043, True],
        "n": "(erased)",
        "(erased)": None,
    }


def test_a_compressed_cursor_is_packed_again(home: Home) -> None:
    content = zlib.compress(json.dumps({"parts": [NAME, "Marvin"]}).encode())
    text = "0" + base64.b64encode(content).decode()
    path = _database(home, f"CREATE TABLE kvs (value TEXT); INSERT INTO kvs VALUES ('{text}');")
    scrub(home, [NAME])
    [(changed,)] = _rows(path, "SELECT value FROM kvs")
    unpacked = json.loads(zlib.decompress(base64.b64decode(changed[1:])))
    assert unpacked == {"parts": ["(erased)", "Marvin"]}


def test_the_cursor_of_arriving_files_loses_the_key_of_a_partition(home: Home) -> None:
    cursor = State({f"2026|{NAME}": "0123456789ab", "2026|Marvin": "f" * 12}).written()
    tick = json.dumps({"cursor": cursor, "run_ids": []})
    script = f"CREATE TABLE job_ticks (tick_body TEXT); INSERT INTO job_ticks VALUES ('{tick}');"
    path = _database(home, script)
    assert [one.where for one in find_values(home, [NAME])] == ["job_ticks.tick_body"]
    scrub(home, [NAME])
    assert [*find_values(home, [NAME])] == []
    [(changed,)] = _rows(path, "SELECT tick_body FROM job_ticks")
    left = State.read(json.loads(changed)["cursor"])
    assert left.done == {"2026|(erased)": "0123456789ab", "2026|Marvin": "f" * 12}


def test_a_shortened_text_goes_as_far_as_it_is_shown(home: Home) -> None:
    path = home.path / "openlineage" / "page.json"
    home.path.mkdir(mode=0o700)
    path.parent.mkdir()
    text = "Quux of the " + "very " * 12 + "long name"
    path.write_text(json.dumps({"md": f"| 1 | {text[:39]}… | 2 |"}))
    assert scrub(home, [text]) == {"openlineage/page.json": 1}
    assert json.loads(path.read_text()) == {"md": "| 1 | (erased)… | 2 |"}


def test_a_file_of_events_without_values_is_not_written(home: Home) -> None:
    path = home.path / "openlineage" / "events.jsonl"
    home.path.mkdir(mode=0o700)
    path.parent.mkdir()
    path.write_text('{"a":1.50, "b":"Marvin"}')
    inode = path.stat().st_ino
    assert not scrub(home, [NAME])
    assert path.stat().st_ino == inode


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("step", ["COMMIT", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"])
def test_a_database_whose_scrubbing_was_killed_is_scrubbed_again(
    step: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ", ".join(f"('{NAME} {number}')" for number in range(500))
    script = f"PRAGMA journal_mode = WAL; CREATE TABLE t (x TEXT); INSERT INTO t VALUES {rows};"
    path = _database(home, script)
    connect = sqlite3.connect

    class Dying(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            if statement == step:
                raise _Killed
            return super().execute(statement, *values)

    with monkeypatch.context() as patch, suppress(_Killed):
        patch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Dying))
        scrub(home, [NAME])
        pytest.fail("it was not killed")
    scrub(home, [NAME])
    assert not [*find_values(home, [NAME])]
    assert len(_rows(path, "SELECT * FROM t WHERE x LIKE '(erased) %'")) == 500


def test_a_locked_database_is_one_line_that_quotes_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _database(home, f"CREATE TABLE t (x TEXT); INSERT INTO t VALUES ('{NAME}');")
    connect = sqlite3.connect
    with closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0}))
        with pytest.raises(StorageError, match="values in the database cannot be") as raised:
            scrub(home, [NAME])
    assert NAME not in str(raised.value)


def test_caches_go_and_what_counts_stays(home: Home) -> None:
    names = [
        "pictures/previews/a.md",
        "profiles/a.json",
        "checkpoints/apples/key/1.ckpt",
        "tmp/1.0-old/part",
        "records/apples/clean/key.json.new",
        "checkpoints/pears/key/1.ckpt",
        "tmp/locks/apples.train",
        "pictures/apples/1/plot.png",
        "records/apples/clean/key.json",
    ]
    for name in names:
        (home.path / name).parent.mkdir(parents=True, exist_ok=True)
        (home.path / name).write_text(NAME)
    assert drop_caches(home, ["apples"]) == {
        "pictures/previews": 1,
        "profiles": 1,
        "checkpoints/apples": 1,
        "tmp": 1,
        "records": 1,
    }
    left = {str(path.relative_to(home.path)) for path in home.path.rglob("*") if path.is_file()}
    assert left == {*names[5:]}
    assert not drop_caches(home, ["apples"])
