"""Sensitive values are not in the log; with their key they are read, and without it never again."""

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_resources.errors import RefusedError, StorageError
from factory_resources.home.home import PROJECT, Home
from factory_resources.ledger.entries import read_entry
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.prediction_entries import PredictionKeysDestroyed
from factory_resources.prediction_log.ids import PredictionIds, text
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.protection import (
    Mode,
    Protection,
    destroy_keys,
    has_key,
    is_protected,
    keys_folder,
)
from factory_resources.prediction_log.record import encode
from tests.factory_resources.prediction_log.homes import verify
from tests.factory_resources.prediction_log.samples import record

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def _moment(year: int, month: int, day: int = 15) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1_000_000


JANUARY, FEBRUARY = _moment(2026, 1), _moment(2026, 2)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("protection") / "home")


@given(value=_JSON)
def test_an_encrypted_value_is_revealed_as_it_was(value: Any, shared: Home) -> None:
    cipher = Protection(shared, "apples", "encrypted")
    protected = cipher.protect(value, JANUARY)
    assert [*protected] == ["encrypted"]
    assert cipher.reveal(protected, JANUARY) == value
    assert Protection(shared, "apples", "encrypted").reveal(protected, JANUARY) == value
    assert cipher.protect(value, JANUARY) != protected


@given(value=_JSON, other=_JSON)
def test_a_commitment_matches_its_value_alone(value: Any, other: Any, shared: Home) -> None:
    committer = Protection(shared, "apples", "commitment")
    protected = committer.protect(value, JANUARY)
    assert [*protected] == ["commitment"]
    assert len(protected["commitment"]) == 64
    assert committer.matches(value, protected, JANUARY)
    assert committer.protect(value, JANUARY) == protected
    assert committer.matches(other, protected, JANUARY) == (
        json.dumps(other, sort_keys=True) == json.dumps(value, sort_keys=True)
    )


@given(value=_JSON)
def test_only_what_is_protected_is_taken_for_it(value: Any, shared: Home) -> None:
    for mode in get_args(Mode):
        assert is_protected(Protection(shared, "apples", mode).protect(value, JANUARY))
    assert not is_protected(value)
    for cell in ({"encrypted": None}, {"commitment": "", "a": ""}, {"a": "b"}, {}, "encrypted"):
        assert not is_protected(cell)


def test_a_key_is_there_from_the_first_value_until_it_is_destroyed(home: Home) -> None:
    Ledger(home).begin()
    cipher = Protection(home, "apples", "encrypted")
    assert not has_key(home, "apples", JANUARY)
    protected = cipher.protect("Ada", JANUARY)
    assert has_key(home, "apples", JANUARY)
    assert not has_key(home, "apples", FEBRUARY)
    assert not has_key(home, "pears", JANUARY)
    destroy_keys(home, "apples", date(2026, 2, 1), "test")
    assert not has_key(home, "apples", JANUARY)
    assert Protection(home, "apples", "encrypted").read(protected, JANUARY) is None


def test_what_nobody_can_read_is_no_value_and_a_lost_key_is_told(home: Home) -> None:
    cipher = Protection(home, "apples", "encrypted")
    protected = cipher.protect("Ada", JANUARY)
    assert cipher.read(protected, JANUARY) == "Ada"
    for cell in ({"encrypted": "AAAA"}, {"encrypted": "ä"}, {"commitment": "5e" * 32}):
        assert cipher.read(cell, JANUARY) is None
    with pytest.raises(StorageError, match="restore it from a backup"):
        cipher.read(protected, FEBRUARY)


def test_the_order_of_keys_does_not_matter(home: Home) -> None:
    committer = Protection(home, "apples", "commitment")
    assert committer.protect({"a": 1, "b": 2}, JANUARY) == committer.protect(
        {"b": 2, "a": 1}, JANUARY
    )


def test_pipelines_and_months_have_keys_of_their_own(home: Home) -> None:
    first = Protection(home, "apples", "commitment").protect("Ada", JANUARY)
    assert Protection(home, "apples", "commitment").protect("Ada", FEBRUARY) != first
    assert Protection(home, "pears", "commitment").protect("Ada", JANUARY) != first
    cipher, other = (Protection(home, name, "encrypted") for name in ("apples", "pears"))
    protected = cipher.protect("Ada", JANUARY)
    other.protect("Ada", JANUARY)
    for reader, moment in ((cipher, FEBRUARY), (other, JANUARY)):
        with pytest.raises(StorageError, match="is not a value that"):
            reader.reveal(protected, moment)


def test_a_value_cannot_be_moved_to_another_month_that_has_the_same_key(home: Home) -> None:
    cipher = Protection(home, "apples", "encrypted")
    protected = cipher.protect("Ada", JANUARY)
    folder = keys_folder(home, "apples")
    (folder / "2026-02.key").write_bytes((folder / "2026-01.key").read_bytes())
    (folder / "2026-02.key").chmod(0o600)
    with pytest.raises(StorageError, match="is not a value that"):
        cipher.reveal(protected, FEBRUARY)


def test_a_key_is_closed_to_other_users(home: Home) -> None:
    Protection(home, "apples", "encrypted").protect(1, JANUARY)
    [path] = keys_folder(home, "apples").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(StorageError, match="chmod 600"):
        Protection(home, "apples", "encrypted").protect(1, JANUARY)


@pytest.mark.parametrize("changed", ["", "QQ==", "no base64", "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"])
def test_a_changed_value_is_refused(home: Home, changed: str) -> None:
    cipher = Protection(home, "apples", "encrypted")
    cipher.protect(1, JANUARY)
    for protected in ({"encrypted": changed}, {"commitment": changed}):
        with pytest.raises(StorageError, match="is not a value that"):
            cipher.reveal(protected, JANUARY)


def test_a_missing_or_damaged_key_is_reported(home: Home) -> None:
    cipher = Protection(home, "apples", "encrypted")
    with pytest.raises(StorageError, match="restore it from a backup"):
        cipher.reveal({"encrypted": ""}, JANUARY)
    cipher.protect(1, JANUARY)
    [path] = keys_folder(home, "apples").iterdir()
    path.write_bytes(b"short")
    with pytest.raises(StorageError, match="it is damaged"):
        Protection(home, "apples", "encrypted").protect(1, JANUARY)


def test_a_destroyed_key_leaves_the_log_verified_and_the_value_unreadable(home: Home) -> None:
    Ledger(home).begin()
    cipher, ids = Protection(home, "apples", "encrypted"), PredictionIds()
    with PredictionLog(home) as log:
        journal = log.journal()
        moments = {ids.take(): moment for moment in (JANUARY, FEBRUARY)}
        for identifier, moment in moments.items():
            protected = json.dumps([{"name": cipher.protect("Ada", moment)}]).encode()
            journal.append(identifier, encode(_with(moment, protected)))
        journal.flush()
        journal.close()
        log.collect()
        key = (keys_folder(home, "apples") / "2026-01.key").read_bytes()
        assert destroy_keys(home, "apples", date(2026, 2, 3), "asked by the person") == ["2026-01"]
        assert destroy_keys(home, "apples", date(2026, 2, 3), "asked by the person") == []
        reader = Protection(home, "apples", "encrypted")
        values = []
        for identifier in moments:
            found = log.find(text(identifier))
            assert found
            values.append((json.loads(found.record.input)[0]["name"], found.record.time))
        with pytest.raises(StorageError, match="the key of 2026-01 was destroyed"):
            reader.reveal(*values[0])
        assert reader.reveal(*values[1]) == "Ada"
    with pytest.raises(StorageError, match="was destroyed"):
        reader.protect("Ada", JANUARY)
    report = verify(home)
    assert report.holds, [*report.lines()]
    assert not [note for note in report.notes if "does not know" in note.what]
    assert not [
        path for path in home.path.rglob("*") if path.is_file() and key in path.read_bytes()
    ]
    with Ledger(home).reading() as reading:
        entry = read_entry(reading.body(reading.size - 1))
    assert isinstance(entry, PredictionKeysDestroyed)
    assert (entry.months, entry.reason) == (("2026-01",), "asked by the person")


def _with(moment: int, content: bytes) -> Any:
    import msgspec

    return msgspec.structs.replace(record(), time=moment, input=content)


def test_keys_that_a_server_may_be_using_are_not_destroyed(home: Home) -> None:
    Ledger(home).begin()
    today = datetime.now(UTC).date()
    now = _moment(today.year, today.month, 1)
    Protection(home, "apples", "encrypted").protect(1, now)
    assert destroy_keys(home, "apples", today, "old") == []
    with pytest.raises(RefusedError, match="is in the future"):
        destroy_keys(home, "apples", date(today.year + 1, 1, 1), "old")


def test_a_kill_after_the_entry_destroys_the_key_the_next_time(home: Home) -> None:
    Ledger(home).begin()
    Protection(home, "apples", "encrypted").protect(1, JANUARY)
    script = """
import os, sys
from datetime import date
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.prediction_log import protection
protection._destroy = lambda path: os._exit(9)
protection.destroy_keys(Home(Path(sys.argv[1])), "apples", date(2026, 2, 1), "old")
"""
    command = [sys.executable, "-c", script, str(home.path)]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == 9
    [problem] = verify(home).problems
    assert "secrets/predictions/apples/2026-01.key: was destroyed, and is there" in str(problem)
    assert destroy_keys(home, "apples", date(2026, 2, 1), "old") == ["2026-01"]
    assert os.listdir(keys_folder(home, "apples")) == ["2026-01.destroyed"]
    assert verify(home).holds


def test_two_servers_make_one_key(home: Home) -> None:
    script = """
import json, sys
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.prediction_log.protection import Protection
cipher = Protection(Home(Path(sys.argv[1])), "apples", "encrypted")
print(flush=True)
sys.stdin.readline()
print(json.dumps([cipher.protect(number, number * 3_000_000_000_000) for number in range(12)]))
"""
    command = [sys.executable, "-c", script, str(home.path)]
    servers = [
        subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for server in servers:
        assert server.stdout
        server.stdout.readline()
    for server in servers:
        assert server.stdin
        server.stdin.write("\n")
        server.stdin.flush()
    cipher = Protection(home, "apples", "encrypted")
    for server in servers:
        values = json.loads(server.communicate()[0])
        assert [
            cipher.reveal(value, number * 3_000_000_000_000) for number, value in enumerate(values)
        ] == [*range(12)]


def test_a_destroyed_key_is_overwritten_on_the_disk_before_it_is_removed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(home).begin()
    Protection(home, "apples", "encrypted").protect(1, JANUARY)
    path = keys_folder(home, "apples") / "2026-01.key"
    key, synced = path.read_bytes(), list[bytes | None]()
    monkeypatch.setattr(
        os, "fsync", lambda _: synced.append(path.read_bytes() if path.exists() else None)
    )
    with path.open("rb") as opened:
        destroy_keys(home, "apples", date(2026, 2, 1), "old")
        assert opened.read() == bytes(32)
    assert synced == [key, bytes(32), None]
