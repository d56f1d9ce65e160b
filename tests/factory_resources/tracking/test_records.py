"""Records are found by key, and the latest is the last one computed or reused."""

import json
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import StageComputed
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.log import Log
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records, key_at, unfinished_records

_KEY = "a" * 64


def _record(key: str) -> Record:
    return Record(
        pipeline="p",
        stage="clean",
        key=key,
        value={"rows": 3},
        data_version=f"version of {key}",
        run_id="r",
        seconds=1.5,
        megabytes=10.0,
        finished="2026-01-01T00:00:00+00:00",
    )


def test_a_record_is_found_by_its_key(home: Home) -> None:
    records = Records(home)
    records.save(_record("a"))
    assert records.find("p", "clean", "a") == _record("a")
    assert records.find("p", "clean", "b") is None
    assert records.latest("p", "train") is None


def test_an_older_record_can_become_the_latest_again(home: Home) -> None:
    records = Records(home)
    for key, run in (("a", "1"), ("b", "2")):
        records.save(_record(key))
        records.point(_record(key), run)
    assert records.latest("p", "clean") == _record("b")
    records.point(_record("a"), "3")
    assert records.latest("p", "clean") == _record("a")
    assert records.find("p", "clean", "b") is not None
    assert [records.used("p", run) for run in "123"] == [[_record(k)] for k in "aba"]
    assert records.newest("p", "clean", None, run_id="2") == _record("b")
    assert records.newest("p", "clean", None, run_id="unknown") == _record("a")
    assert {record.key for record in records.all()} == {"a", "b"}


def test_a_record_that_replaces_another_waits_beside_it_until_the_ledger_has_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(home).begin()
    old, new = _record(_KEY), _record(_KEY).model_copy(update={"run_id": "again"})
    _enter(old, Records(home).save(old), home)
    records = Records(home)
    file_digest = records.save(new)
    assert records.find("p", "clean", _KEY) == old
    records.put_in_place(new, "0" * 64)
    assert records.find("p", "clean", _KEY) == old
    _enter(new, file_digest, home)
    with monkeypatch.context() as patch:
        # As on a disk that may only be read.
        patch.setattr(Path, "replace", _refused)
        assert records.find("p", "clean", _KEY) == new
    assert unfinished_records(home) == [home.path / f"{new.name}.new"]
    assert [*records.all()] == [new]
    assert unfinished_records(home) == []
    assert json.loads((home.path / new.name).read_bytes())["run_id"] == "again"
    # Its writer may be slower than a reader.
    records.put_in_place(new, file_digest)
    assert records.find("p", "clean", _KEY) == new


def test_a_record_that_is_replaced_while_it_is_read_is_found(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(home).begin()
    old, new = _record(_KEY), _record(_KEY).model_copy(update={"run_id": "again"})
    _enter(old, Records(home).save(old), home)
    file_digest, content = Records(home).save(new), (home.path / old.name).read_bytes()
    _enter(new, file_digest, home)
    Records(home).put_in_place(new, file_digest)
    read, before = Path.read_bytes, [content]
    monkeypatch.setattr(Path, "read_bytes", lambda path: before.pop() if before else read(path))
    assert Records(home).find("p", "clean", _KEY) == new


def test_the_ledger_is_opened_once_for_many_records(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(home).begin()
    records, made = Records(home), []
    for number in range(10):
        made.append(_record(f"{number:064x}").model_copy(update={"partition": str(number)}))
        _enter(made[-1], records.save(made[-1]), home)
        records.point(made[-1], "run")
    opened, reading = list[Ledger](), Ledger.reading

    def counted(ledger: Ledger) -> AbstractContextManager[Log]:
        opened.append(ledger)
        return reading(ledger)

    monkeypatch.setattr(Ledger, "reading", counted)
    assert sorted(records.all(), key=lambda one: one.key) == made
    assert len(opened) == 1
    assert records.current("p", "clean") == made
    assert len(opened) == 2


def _enter(record: Record, file_digest: str, home: Home) -> None:
    entry = StageComputed(
        subject=StageComputed.subject_of(record=record.name),
        sha256=file_digest,
        pipeline=record.pipeline,
        stage=record.stage,
        key=record.key,
        run=record.run_id,
        components={},
        inputs={},
        tables={},
    )
    Ledger(home).append([entry])


def _refused(*_: object) -> None:
    raise OSError(30, "Read-only file system")


def test_partitions_have_records_of_their_own(home: Home) -> None:
    records = Records(home)
    for key in ("2024-01-01|a/b", "2024-01-02|c"):
        record = _record(f"of{key[:10]}").model_copy(update={"partition": key})
        records.save(record)
        records.point(record, "run")
    assert records.partitions("p", "clean") == ["2024-01-01|a/b", "2024-01-02|c"]
    latest = records.latest("p", "clean", "2024-01-01|a/b")
    assert latest is not None
    assert latest.partition == "2024-01-01|a/b"
    assert records.latest("p", "clean") is None
    assert [record.partition for record in records.used("p", "run")] == [
        "2024-01-01|a/b",
        "2024-01-02|c",
    ]


def test_a_damaged_record_is_reported_with_a_remedy(home: Home) -> None:
    records = Records(home)
    records.save(_record("a"))
    (home.records / "p" / "clean" / "a.json").write_text("{")
    with pytest.raises(StorageError, match=r"a\.json: the record is damaged; delete it"):
        records.find("p", "clean", "a")


@pytest.mark.parametrize("content", ["{", "{}", "[]", "[" * 100_000])
def test_a_damaged_pointer_is_reported(content: str, home: Home) -> None:
    pointer = home.records / "clean.json"
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.write_text(content)
    with pytest.raises(StorageError, match=r"clean\.json: the record is damaged"):
        key_at(pointer)


def test_a_record_that_cannot_be_read_is_not_to_be_deleted(home: Home) -> None:
    records = Records(home)
    # Whoever runs the tests may read every file, but nobody reads a folder as one.
    (home.records / "p" / "clean" / "a.json").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"a\.json: cannot be read .*another user .* chown -R"):
        records.find("p", "clean", "a")
    with pytest.raises(StorageError, match=r"clean: cannot be read .*if another user"):
        key_at(home.records / "p" / "clean")
