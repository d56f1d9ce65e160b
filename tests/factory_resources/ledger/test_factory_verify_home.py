"""What was tampered with in a home is found by the one file, alone, in a process of its own."""

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from factory_resources.ledger import factory_verify
from tests.factory_resources.ledger.homes import (
    LogKey,
    bodies_of,
    entry,
    records_of,
    sha256,
    write_ledger,
)
from tests.ledger import cut_off_write
from tests.long_run import in_long, one_in

_KEY = LogKey()


@dataclass(frozen=True)
class Auditor:
    """Somebody who has a copy of a home, the verifier, and nothing else of the factory."""

    home: Path
    file: Path

    def verify(self, *options: str) -> tuple[int, list[str]]:
        """Return the exit code and the lines of the problems."""
        done = subprocess.run(
            [sys.executable, "-I", str(self.file), str(self.home), *options],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.file.parent,
        )
        assert done.stderr == ""
        lines = done.stdout.splitlines()
        problems = [line for line in lines if line.startswith("problem: ")]
        assert lines[-1] == ("does not hold" if problems else "all holds")
        return done.returncode, problems

    def run(self, statement: str, *values: object) -> None:
        """Change the ledger by SQL."""
        _execute(self.home / "ledger.db", statement, *values)

    def path(self, pattern: str) -> Path:
        return sorted(self.home.glob(pattern))[0]


def _execute(path: Path, statement: str, *values: object) -> None:
    database = sqlite3.connect(path)
    with database:
        database.execute(statement, values)
    database.close()


@pytest.fixture
def auditor(recorded: Path, tmp_path: Path) -> Auditor:
    (tmp_path / "stick").mkdir()
    file = shutil.copy(factory_verify.__file__, tmp_path / "stick")
    return Auditor(Path(shutil.copytree(recorded, tmp_path / "copy")), Path(file))


def _flip(path: Path, at: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_home_that_nobody_touched_holds(auditor: Auditor) -> None:
    before = {path: path.stat().st_mtime_ns for path in auditor.home.rglob("*")}
    assert auditor.verify("--key", str(_KEY.public)) == (0, [])
    assert {path: path.stat().st_mtime_ns for path in auditor.home.rglob("*")} == before


def test_the_result_as_json(auditor: Auditor, capsys: pytest.CaptureFixture[str]) -> None:
    assert factory_verify.main([str(auditor.home), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["holds"]
    assert result["problems"] == []
    assert result["checked"]["records"] == 24
    assert any("give the key that you know" in note["what"] for note in result["notes"])


def test_another_key_than_the_pinned_one_is_found(auditor: Auditor) -> None:
    other = str(LogKey(b"o" * 32).public)
    code, problems = auditor.verify("--key", other)
    assert code == 1
    assert "not the one that you trust" in problems[0]


_FILES = {
    "record": "records/apples/train/*.json",
    "table": "tables/apples/ingest/*.parquet",
    "weights": "artifacts/apples/models/*/artifacts/weights.safetensors",
    "export": "artifacts/apples/*/artifacts/onnx/model.onnx",
}


@pytest.mark.parametrize("kind", _FILES)
@pytest.mark.parametrize(
    "change", ["flip", "remove", "fifo", *in_long(["truncate", "link", "folder"])]
)
def test_a_changed_file_is_named(auditor: Auditor, kind: str, change: str) -> None:
    path = auditor.path(_FILES[kind])
    aside = auditor.home.parent / "aside"
    path.rename(aside)
    if change == "flip":
        shutil.copy(aside, path)
        _flip(path)
    elif change == "truncate":
        path.write_bytes(aside.read_bytes()[:-1])
    elif change == "link":
        path.symlink_to(aside)
    elif change == "fifo":
        os.mkfifo(path)
    elif change == "folder":
        path.mkdir()
    code, problems = auditor.verify()
    assert code == 1
    name = str(path.relative_to(auditor.home))
    assert any(name in line and "entry " in line for line in problems), problems


def test_a_changed_manifest_of_a_model_is_found(auditor: Auditor) -> None:
    _flip(auditor.path("artifacts/apples/models/*/artifacts/manifest.json"))
    code, problems = auditor.verify()
    assert code == 1
    assert "no manifest.json with the SHA-256" in problems[0]


def _body(number: int) -> str:
    return f"(SELECT body FROM entry WHERE number = {number})"


_ROWS = {
    "an entry changed": "UPDATE entry SET body = replace(body, '2026', '2025') WHERE number = 7",
    "an entry deleted": "DELETE FROM entry WHERE number = 7",
    "the first deleted": "DELETE FROM entry WHERE number = 0",
    "the last deleted": "DELETE FROM entry WHERE number = 40",
    "an entry added": f"INSERT INTO entry VALUES(41, {_body(40)})",
    "an entry far away": f"INSERT INTO entry VALUES(4611686018427387904, {_body(40)})",
    "a negative entry": f"INSERT INTO entry VALUES(-5, {_body(40)})",
    "an entry replayed": f"UPDATE entry SET body = {_body(3)} WHERE number = 9",
    "an entry of text": "UPDATE entry SET body = CAST(body AS TEXT) WHERE number = 7",
    "an entry of 2 MB": "UPDATE entry SET body = zeroblob(2000000) WHERE number = 7",
    "a subject moved": "UPDATE subject SET entry = entry + 1 WHERE entry = 40",
    "a subject deleted": "DELETE FROM subject WHERE entry = 9",
    "a subject added": "INSERT INTO subject VALUES(5, 5)",
    "a subject of text": "INSERT INTO subject VALUES('x', 5)",
    "a subtree added": "INSERT INTO subtree VALUES(1, 0, zeroblob(32))",
    "the size changed": "UPDATE head SET size = 40",
    "the frontier changed": "UPDATE head SET frontier = zeroblob(length(frontier))",
    "the checkpoint changed": "UPDATE head SET checkpoint = replace(checkpoint, '41', '40')",
    "the signature changed": "UPDATE head SET checkpoint = substr(checkpoint, 1, length(checkpoint)"
    " - 10) || 'AAAAAAAA=' || char(10)",
    "the checkpoint of another": "UPDATE head SET checkpoint = replace(checkpoint, '0123', '3210')",
    "no head": "DELETE FROM head",
    "no checkpoint": "UPDATE head SET checkpoint = NULL",
    "a stored checkpoint": "INSERT INTO checkpoint SELECT 41, replace(checkpoint, 'A', 'B')"
    " FROM head",
    "a stored size": "INSERT INTO checkpoint SELECT 40, checkpoint FROM head",
    "no table": "DROP TABLE subtree",
}


@pytest.mark.parametrize("what", one_in(2, _ROWS))
def test_changed_rows_of_the_ledger_are_found(auditor: Auditor, what: str) -> None:
    auditor.run(_ROWS[what])
    code, problems = auditor.verify()
    assert code == 1
    assert problems


def test_exchanged_entries_are_found(auditor: Auditor) -> None:
    for statement in ("999 WHERE number = 7", "7 WHERE number = 8", "8 WHERE number = 999"):
        auditor.run(f"UPDATE entry SET number = {statement}")
    code, problems = auditor.verify()
    assert code == 1
    assert "is of another history" in "\n".join(problems)


@pytest.mark.parametrize(
    "view",
    [
        "SELECT number, body FROM old",
        *in_long(
            [
                "WITH RECURSIVE n(number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM n)"
                " SELECT number, zeroblob(10) AS body FROM n",
                "WITH RECURSIVE n(number) AS (SELECT 0 UNION ALL SELECT 0 FROM n)"
                " SELECT number, zeroblob(10) AS body FROM n WHERE number = 1",
            ]
        ),
    ],
)
def test_a_view_in_place_of_a_table_is_refused(auditor: Auditor, view: str) -> None:
    auditor.run("ALTER TABLE entry RENAME TO old")
    auditor.run(f"CREATE VIEW entry AS {view}")
    code, problems = auditor.verify()
    assert code == 1
    assert "has no table 'entry'" in problems[0]


@pytest.mark.parametrize("file", ["ledger.db", "mlflow.db"])
def test_a_schema_that_is_not_text_is_refused(auditor: Auditor, file: str) -> None:
    path = auditor.home / file
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE ", b"CREATE TABLE \xe9"))
    code, problems = auditor.verify()
    assert code == 1
    assert f"{file}: cannot be opened" in problems[0]


def test_an_alias_that_was_moved_is_found(auditor: Auditor) -> None:
    _execute(auditor.home / "mlflow.db", "UPDATE registered_model_aliases SET version = 1")
    code, problems = auditor.verify()
    assert code == 1
    said = "MLflow's alias apples@champion names version 1, the ledger says 2"
    assert len(problems) == 1
    assert said in problems[0]


def test_an_alias_from_before_a_server_had_mlflow_is_not_compared(auditor: Auditor) -> None:
    _execute(auditor.home / "mlflow.db", "UPDATE registered_model_aliases SET version = 1")
    ledger = str((auditor.home / "ledger.db").rename(auditor.home.with_name("copy.db")))
    for database, holds in (("sqlite", False), ("an address", True)):
        (auditor.home / "prepared.json").write_text(
            json.dumps({"database": sha256(database.encode())})
        )
        code, problems = auditor.verify("--ledger", ledger)
        assert (code == 0) == holds, problems


def test_an_alias_of_nothing_is_found(auditor: Auditor) -> None:
    statement = "INSERT INTO registered_model_aliases VALUES('champion', 5, 'grapes', 'default')"
    _execute(auditor.home / "mlflow.db", statement)
    code, problems = auditor.verify()
    assert code == 1
    assert "grapes@champion names version 5, the ledger says none" in problems[0]


def test_a_record_that_was_edited_with_its_own_digest_is_found(auditor: Auditor) -> None:
    path = auditor.path("records/apples/train/*.json")
    record = json.loads(path.read_bytes())
    record["parts"]["declaration"]["seed"] = 5
    record["key"] = sha256(json.dumps(record["parts"], sort_keys=True).encode())
    edited = path.with_name(f"{record['key']}.json")
    edited.write_text(json.dumps(record))
    path.unlink()
    code, problems = auditor.verify()
    assert code == 1
    assert f"{path.name}: is missing" in problems[0]


def test_a_record_without_entry_does_not_count(
    auditor: Auditor, capsys: pytest.CaptureFixture[str]
) -> None:
    path = auditor.path("records/apples/train/*.json")
    shutil.copy(path, path.with_name(f"{'0' * 64}.json"))
    assert factory_verify.main([str(auditor.home)]) == 0
    name = f"records/apples/train/{'0' * 64}.json"
    note = f"note: {name}: is not in the ledger, so nothing here proves it"
    assert note in capsys.readouterr().out.splitlines()


def test_a_pointer_to_a_record_without_entry_is_found(auditor: Auditor) -> None:
    pointer = auditor.path("records/apples/latest/train.json")
    pointer.write_text(json.dumps({"key": "0" * 64}))
    code, problems = auditor.verify()
    assert code == 1
    assert "records/apples/latest/train.json: points to" in problems[0]


def test_a_linked_folder_is_found(auditor: Auditor) -> None:
    shutil.move(auditor.home / "records/apples/latest", auditor.home.parent / "elsewhere")
    (auditor.home / "records/apples/latest").symlink_to(auditor.home.parent / "elsewhere")
    code, problems = auditor.verify()
    assert code == 1
    assert "records/apples/latest: is a symbolic link" in problems[0]


def _rewritten(auditor: Auditor) -> list[bytes]:
    """Return a history in which a verdict was another, with the entries after it."""
    bodies = bodies_of(auditor.home, _KEY)
    at = next(number for number, body in enumerate(bodies) if b'"kind":"verdict"' in body)
    return [*bodies[:at], bodies[at].replace(b"T18:", b"T17:"), *bodies[at + 1 :]]


def test_a_log_rewritten_with_the_real_key_is_found_by_an_older_checkpoint_alone(
    auditor: Auditor,
) -> None:
    kept = auditor.file.with_name("kept")
    assert auditor.verify("--keep", str(kept)) == (0, [])
    assert auditor.verify("--since", str(kept)) == (0, [])
    write_ledger(auditor.home / "ledger.db", _rewritten(auditor), _KEY)
    assert auditor.verify("--key", str(_KEY.public)) == (0, [])
    before = kept.read_bytes()
    code, problems = auditor.verify("--since", str(kept), "--keep", str(kept))
    assert code == 1
    assert "the checkpoint of --since is of another history" in problems[0]
    assert kept.read_bytes() == before


def test_a_fork_that_is_shown_to_two_auditors_is_found_when_they_compare(
    auditor: Auditor,
) -> None:
    bodies = bodies_of(auditor.home, _KEY)
    ends = [entry("run", subject=f"run/{name}", pipeline="apples") for name in ("one", "two")]
    kept = [auditor.file.with_name(name) for name in ("first", "second")]
    for end, file in zip(ends, kept, strict=True):
        write_ledger(auditor.home / "ledger.db", [*bodies, end], _KEY)
        assert auditor.verify("--keep", str(file)) == (0, [])
    code, problems = auditor.verify("--since", str(kept[0]))
    assert code == 1
    assert "another history" in problems[0]
    write_ledger(auditor.home / "ledger.db", bodies, _KEY)
    code, problems = auditor.verify("--since", str(kept[0]))
    assert code == 1
    assert "is over 42 entries, and the ledger has 41" in problems[0]


def test_a_log_that_grew_extends_what_the_auditor_kept(auditor: Auditor) -> None:
    kept = auditor.file.with_name("kept")
    auditor.verify("--keep", str(kept))
    bodies = bodies_of(auditor.home, _KEY)
    more = [entry("run", subject=f"run/{n}", pipeline="apples") for n in range(600)]
    write_ledger(auditor.home / "ledger.db", [*bodies, *more], _KEY, [kept.read_bytes()])
    assert auditor.verify("--since", str(kept)) == (0, [])
    auditor.run("UPDATE subtree SET hash = zeroblob(32) WHERE number = 1")
    code, problems = auditor.verify()
    assert code == 1
    assert problems == ["problem: entries 256 to 511 do not have the stored hash"]


def _with(change: Callable[[dict[str, Any]], None], kind: str) -> Callable[[list[bytes]], None]:
    """Change the last entry of a kind."""

    def apply(bodies: list[bytes]) -> None:
        at = max(n for n, body in enumerate(bodies) if json.loads(body)["kind"] == kind)
        body = json.loads(bodies[at])
        change(body)
        bodies[at] = factory_verify.canonical(body)

    return apply


_LIES: dict[str, tuple[Callable[[list[bytes]], None], str]] = {
    "another digest": (_with(lambda e: e.update(sha256="0" * 64), "stage"), "was changed"),
    "another stage": (_with(lambda e: e.update(stage="clean"), "stage"), "pipeline, stage"),
    "another component": (
        _with(lambda e: e["components"].update(code="0" * 64), "stage"),
        "its components is not what",
    ),
    "another input": (_with(lambda e: e["inputs"].update(x="0" * 64), "stage"), "its inputs"),
    "another table": (_with(lambda e: e["tables"].update(x="0" * 64), "stage"), "the tables"),
    "no record": (_with(lambda e: e.pop("record"), "verdict"), "has no valid 'record'"),
    "a record outside": (
        _with(lambda e: e.update(record="../../x"), "verdict"),
        "this record has no entry",
    ),
    "a number as version": (_with(lambda e: e.update(version="1"), "export"), "'version'"),
    "another version": (_with(lambda e: e.update(version=9), "verdict"), "the subject is not"),
    "a false verdict": (_with(lambda e: e.update(passed=False), "verdict"), "whether all gates"),
    "another gate": (
        _with(lambda e: e["gates"].update(x=True), "verdict"),
        "the gates is not what",
    ),
    "another graph": (_with(lambda e: e.update(graph="0" * 64), "export"), "SHA-256 of the graph"),
    "another champion": (_with(lambda e: e.update(version=1), "champion"), "the version"),
    "another model": (_with(lambda e: e.update(digest="0" * 64), "model_version"), "the digest"),
    "another origin": (
        _with(lambda e: e.update(provenance="0" * 64), "model_version"),
        "how it was trained",
    ),
    "no time": (_with(lambda e: e.pop("time"), "export"), "has no valid 'time'"),
    "a local time": (_with(lambda e: e.update(time="2026-11-25 18:00"), "export"), "'time'"),
    "no such day": (_with(lambda e: e.update(time="2026-02-30T00:00:00Z"), "export"), "'time'"),
    "no such hour": (_with(lambda e: e.update(time="2026-02-03T24:00:00Z"), "export"), "'time'"),
    "a second ledger": (_with(lambda e: e.update(kind="ledger"), "export"), "another ledger"),
    "inputs that come later": (lambda bodies: bodies.insert(1, bodies.pop(2)), "no earlier entry"),
    "no verdict": (
        lambda bodies: bodies.__delitem__(
            max(n for n, body in enumerate(bodies) if b'"kind":"verdict"' in body)
        ),
        "has no entry of a verdict",
    ),
}


@pytest.mark.parametrize("lie", one_in(2, _LIES))
def test_entries_that_do_not_agree_with_the_home_are_found(auditor: Auditor, lie: str) -> None:
    change, expected = _LIES[lie]
    bodies = bodies_of(auditor.home, _KEY)
    change(bodies)
    write_ledger(auditor.home / "ledger.db", bodies, _KEY)
    code, problems = auditor.verify()
    assert code == 1
    assert any(expected in line for line in problems), problems


def test_what_was_removed_and_said_to_be_is_not_missing(
    auditor: Auditor, capsys: pytest.CaptureFixture[str]
) -> None:
    bodies = bodies_of(auditor.home, _KEY)
    name, _ = next(one for one in records_of(auditor.home) if "/nets/ingest/" in one[0])
    tables = [
        str(auditor.path(f"tables/nets/{stage}/*.parquet").relative_to(auditor.home))
        for stage in ("ingest", "clean")
    ]
    for file in (name, *tables):
        (auditor.home / file).unlink()
    assert auditor.verify()[0] == 1
    bodies.append(entry("removed", paths=[name, *tables], reason="nothing rests on it"))
    write_ledger(auditor.home / "ledger.db", bodies, _KEY)
    assert auditor.verify() == (0, [])
    # The record of the ingested table is gone, that of the cleaned one names its file.
    capsys.readouterr()
    assert factory_verify.main([str(auditor.home)]) == 0
    checked = next(line for line in capsys.readouterr().out.splitlines() if "checked" in line)
    assert "1 record removed" in checked
    assert "1 file removed" in checked


def test_what_was_found_is_said_to_be_unwitnessed(
    auditor: Auditor, capsys: pytest.CaptureFixture[str]
) -> None:
    bodies = bodies_of(auditor.home, _KEY)
    _with(lambda e: e.update(found=True), "stage")(bodies)
    bodies.append(entry("prediction", rows=3))
    write_ledger(auditor.home / "ledger.db", bodies, _KEY)
    assert factory_verify.main([str(auditor.home)]) == 0
    out = capsys.readouterr().out
    assert "1 entry of what was found when the ledger began" in out
    assert "1 entry of kinds unknown to this verifier" in out


@pytest.mark.parametrize(
    ("number", "what", "told"),
    [
        (1, "entries", "1 entry"),
        (2, "entries", "2 entries"),
        (0, "files", "0 files"),
        (1, "files", "1 file"),
        (1, "batches of outcomes", "1 batch of outcomes"),
        (1, "signed answers to requirements", "1 signed answer to requirements"),
        (1, "results whose record was computed again", "1 result whose record was computed again"),
        (1234, "values of the dossier", "1,234 values of the dossier"),
    ],
)
def test_what_was_counted_is_told_in_one_or_more(number: int, what: str, told: str) -> None:
    report = factory_verify.VerificationReport()
    report.count(what, number)
    assert next(report.lines()) == f"checked: {told}"


def test_that_nothing_was_counted_is_told() -> None:
    assert next(factory_verify.VerificationReport().lines()) == "checked: nothing"


def test_a_home_without_ledger_proves_nothing(auditor: Auditor) -> None:
    (auditor.home / "ledger.db").rename(auditor.file.with_name("ledger"))
    assert auditor.verify() == (1, ["problem: ledger.db: is missing"])
    assert auditor.verify("--ledger", str(auditor.file.with_name("ledger"))) == (0, [])


def test_a_ledger_or_folder_of_databases_that_is_not_there_is_a_mistake_in_the_call(
    auditor: Auditor, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped folder compared no answer, and all held; a pipe was waited for without an end."""
    pipe = auditor.file.with_name("pipe")
    os.mkfifo(pipe)
    for words, told in (
        (("--ledger", str(pipe)), f"error: there is no file {pipe}\n"),
        (("--databases", str(pipe)), f"error: there is no folder {pipe}\n"),
    ):
        assert factory_verify.main([str(auditor.home), *words]) == 2
        assert capsys.readouterr() == ("", told)


def test_a_copy_that_cannot_be_written_to_is_verified(auditor: Auditor) -> None:
    auditor.run("PRAGMA journal_mode = WAL")
    (auditor.home / "ledger.db").chmod(0o400)
    auditor.home.chmod(0o500)
    assert auditor.verify() == (0, [])
    auditor.home.chmod(0o700)


def test_a_write_that_was_cut_off_is_told_and_nothing_else_is(auditor: Auditor) -> None:
    cut_off_write(auditor.home / "ledger.db")
    code, problems = auditor.verify()
    assert code == 1
    assert len(problems) == 1
    assert "ledger.db: was being written when it was copied, or its writer was" in problems[0]
    # Whoever opens it to write undoes it.
    auditor.run("DELETE FROM entry WHERE number = -1")
    assert auditor.verify() == (0, [])


@pytest.mark.parametrize("name", ["lstat", "stat"])
def test_a_journal_that_its_writer_removes_meanwhile_is_no_fault(
    auditor: Auditor, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = getattr(os, name)
    journal = auditor.home / "ledger.db-journal"
    journal.touch()

    def ask(path: Any, **options: Any) -> os.stat_result:
        found: os.stat_result = asked(path, **options)
        if str(path) == str(journal):
            journal.unlink()
        return found

    monkeypatch.setattr(os, name, ask)
    report, _ = factory_verify.verify_path(str(auditor.home), factory_verify.Expectation())
    assert (report.problems, journal.exists()) == ([], False)


def _places(home: Path) -> Iterator[Path]:
    """Yield each file that must not change."""
    yield from home.glob("records/*/*/*.json")
    yield from home.glob("tables/*/*/*.parquet")
    yield from home.glob("artifacts/*/*/artifacts/onnx/model.onnx")
    for manifest in home.glob("artifacts/*/models/*/artifacts/manifest.json"):
        yield manifest
        yield from map(manifest.with_name, json.loads(manifest.read_bytes()))


def _flipped_row(database: Path, draw: random.Random) -> Callable[[], None]:
    """Flip a bit of a value of the ledger; return what puts it back."""
    table, column, key = draw.choice(
        [("entry", "body", "number"), ("head", "frontier", "id"), ("head", "checkpoint", "id")]
    )
    connection = sqlite3.connect(database)
    rows = connection.execute(f"SELECT {key}, {column} FROM {table}").fetchall()
    connection.close()
    row, value = draw.choice(rows)
    raw = bytearray(value.encode() if isinstance(value, str) else value)
    raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(7)
    kind = "TEXT" if isinstance(value, str) else "BLOB"
    statement = f"UPDATE {table} SET {column} = CAST(? AS {kind}) WHERE {key} = ?"
    _execute(database, statement, bytes(raw), row)
    return lambda: _execute(
        database, f"UPDATE {table} SET {column} = ? WHERE {key} = ?", value, row
    )


def _flips(auditor: Auditor, count: int) -> None:
    draw = random.Random(5)
    places = sorted(_places(auditor.home))
    for _ in range(count):
        if draw.random() < 0.4:
            undo = _flipped_row(auditor.home / "ledger.db", draw)
            assert auditor.verify()[0] == 1
            undo()
            continue
        path = draw.choice(places)
        content = path.read_bytes()
        changed = bytearray(content)
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        code, _ = auditor.verify()
        pointer = path.parent.name == "latest"
        assert code == 1 or (pointer and json.loads(changed) == json.loads(content)), path
        path.write_bytes(content)
    assert auditor.verify() == (0, [])


def test_a_bit_that_flips_anywhere_is_found(auditor: Auditor) -> None:
    _flips(auditor, 12)


@pytest.mark.long
def test_a_thousand_flips_are_found(auditor: Auditor) -> None:
    _flips(auditor, 1000)
