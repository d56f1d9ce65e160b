"""A database that an enemy hands over: every query of the verifier reads the same rows of it."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from factory_resources.ledger.factory_verify import (
    Expectation,
    prediction_leaf,
    tree_hash,
    verify_path,
)
from tests.factory_resources.ledger.homes import LogKey, entry, sha256, write_ledger

_KEY = LogKey()
_FIRST = entry("ledger", origin=_KEY.name, key=str(_KEY.public), format=1)
_RECORD = b"\x99\0\0\xa1p\1\xa0\xa0\xa0\0\1"
"""Of MessagePack: two times, pipeline and version, three texts, the status and the rows."""

_REFUSED = "has columns or an index that no table {!r} has"


def _problems(home: Path) -> list[str]:
    report, _ = verify_path(str(home), Expectation(_KEY.public))
    return [str(problem) for problem in report.problems]


def _change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            database.execute(statement)


def _forge_index(path: Path, columns: str, other: str) -> None:
    """Give a table an index that is that of another table."""
    table = columns.partition("(")[0]
    places = {name: f"(SELECT rootpage FROM sqlite_master WHERE name = '{name}')" for name in "ab"}
    _change(
        path,
        f"CREATE INDEX a ON {columns}",
        f"CREATE INDEX b ON {columns.replace(table, other, 1)}",
        f"UPDATE sqlite_master SET rootpage = CASE name WHEN 'a' THEN {places['b']} "
        f"ELSE {places['a']} END WHERE name IN ('a', 'b')",
        "ANALYZE",
        "DELETE FROM sqlite_stat1",
        f"INSERT INTO sqlite_stat1 VALUES ('{table}', 'a', '100 1 1 sz=500')",
        f"INSERT INTO sqlite_stat1 VALUES ('{table}', '{table}', '100 50 50 sz=1')",
    )


def test_no_index_hides_that_an_approval_was_declared(tmp_path: Path) -> None:
    rule = {"by": "approver", "four_eyes": False, "signatures": 1, "seconds": 60}
    about = {"pipeline": "p", "version": 1, "record": "r", "graph": "0" * 64}
    bodies = [
        _FIRST,
        entry("declaration", subject="declaration/p", pipeline="p", sha256="1", approval=rule),
        entry("model_version", subject="model/p@1", digest="0" * 64, **about),
        entry("verdict", subject="verdict/p@1", passed=True, **about),
        entry("export", subject="export/p@1", **about),
        entry("champion", subject="champion/p", replaced=None, **about),
    ]
    path = tmp_path / "ledger.db"
    write_ledger(path, bodies, _KEY)
    lacking = "p@1 serves, and 0 of 1 people approved it"
    assert any(lacking in problem for problem in _problems(tmp_path))
    _change(
        path,
        "CREATE TABLE other(digest, entry, PRIMARY KEY(digest, entry)) WITHOUT ROWID",
        "INSERT INTO other SELECT * FROM subject WHERE entry != 1",
    )
    _forge_index(path, "subject(digest, entry DESC)", "other")
    assert _problems(tmp_path) == [f"ledger.db: {_REFUSED.format('subject')}"]


def _answered(home: Path) -> Path:
    """Write a home with one answer; return the database of answers."""
    identifier = bytes(15) + b"\1"
    leaf = prediction_leaf(identifier, bytes.fromhex(sha256(_RECORD)))
    ends = {"first": identifier.hex(), "last": identifier.hex()}
    root = tree_hash([leaf]).hex()
    block = entry(
        "predictions", subject="predictions/b", block="b", root=root, count=1, bytes=1, **ends
    )
    write_ledger(home / "ledger.db", [_FIRST, block], _KEY)
    with closing(sqlite3.connect(home / "predictions.db")) as database:
        database.executescript(
            "CREATE TABLE block(number INTEGER PRIMARY KEY, identity TEXT UNIQUE, first, last,"
            "count);"
            "CREATE TABLE leaf_tile(block, tile, hashes, PRIMARY KEY(block, tile)) WITHOUT ROWID;"
            "CREATE TABLE prediction(id PRIMARY KEY, block, leaf, record, pipeline, version, rows)"
            "WITHOUT ROWID;"
        )
        database.execute("INSERT INTO block VALUES (1, 'b', ?, ?, 1)", (identifier, identifier))
        database.execute("INSERT INTO leaf_tile VALUES (1, 0, ?)", (leaf,))
        database.execute(
            "INSERT INTO prediction VALUES (?, 1, 0, ?, 'p', 1, 1)", (identifier, _RECORD)
        )
        database.commit()
    return home / "predictions.db"


def test_no_index_hides_that_an_answer_was_changed(tmp_path: Path) -> None:
    path = _answered(tmp_path)
    assert _problems(tmp_path) == []
    _change(
        path,
        "CREATE TABLE other(id PRIMARY KEY, block, leaf, record, pipeline, version, rows)"
        "WITHOUT ROWID",
        "INSERT INTO other SELECT * FROM prediction",
        "UPDATE prediction SET record = x'00'",
    )
    assert len(_problems(tmp_path)) == 1
    _forge_index(path, "prediction(block, id, leaf, record, pipeline, version, rows)", "other")
    assert _problems(tmp_path) == [f"predictions.db: {_REFUSED.format('prediction')}"]


def test_a_column_that_is_computed_is_refused(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger.db", [_FIRST], _KEY)
    slow = " + ".join(["length(hex(zeroblob(20000000)))"] * 100)
    _change(
        tmp_path / "ledger.db",
        "DROP TABLE checkpoint",
        "CREATE TABLE checkpoint(size INTEGER PRIMARY KEY, note)",
        "INSERT INTO checkpoint VALUES (1, 'a')",
        "UPDATE sqlite_master SET sql = 'CREATE TABLE checkpoint(size INTEGER PRIMARY KEY, "
        f"note AS ({slow}))' WHERE name = 'checkpoint'",
    )
    started = time.process_time()
    assert _problems(tmp_path) == [f"ledger.db: {_REFUSED.format('checkpoint')}"]
    assert time.process_time() - started < 0.5


def test_a_ledger_whose_entries_have_no_order_is_answered_soon(tmp_path: Path) -> None:
    about = {"pipeline": "p", "record": "r", "passed": True}
    bodies = [
        entry("verdict", subject=f"verdict/p@{number}", version=number, **about)
        for number in range(16_000)
    ]
    write_ledger(tmp_path / "ledger.db", [_FIRST, *bodies], _KEY)
    _change(
        tmp_path / "ledger.db",
        "CREATE TABLE other(number, body)",
        "INSERT INTO other SELECT * FROM entry",
        "DROP TABLE entry",
        "ALTER TABLE other RENAME TO entry",
    )
    started = time.process_time()
    assert "the database cannot be read (interrupted)" in "\n".join(_problems(tmp_path))
    assert time.process_time() - started < 4


def test_a_virtual_table_is_refused_however_it_is_written(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger.db", [_FIRST], _KEY)
    statement = "CREATE /* a table */ VIRTUAL TABLE entry USING fts4(number, body)"
    _change(
        tmp_path / "ledger.db",
        f"UPDATE sqlite_master SET sql = '{statement}', rootpage = 0 WHERE name = 'entry'",
    )
    assert _problems(tmp_path) == ["ledger.db: has a view or a virtual table"]
