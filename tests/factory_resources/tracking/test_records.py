"""Records are found by key, and the latest is the last one computed or reused."""

import pytest

from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records, key_at


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


def test_a_record_that_cannot_be_read_is_not_to_be_deleted(home: Home) -> None:
    records = Records(home)
    # Whoever runs the tests may read every file, but nobody reads a folder as one.
    (home.records / "p" / "clean" / "a.json").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"a\.json: cannot be read .*if another user .* chown"):
        records.find("p", "clean", "a")
    with pytest.raises(StorageError, match=r"clean: cannot be read .*if another user"):
        key_at(home.records / "p" / "clean")
