"""The log of a table whose columns change: every version can be read, by any Delta reader."""

import json
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from factory_resources.delta_protocol import commit_path
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.sql.engine import sealed
from factory_resources.tables import delta_log
from factory_resources.tables.delta_log import publish, repair_log
from factory_resources.tables.log_renewal import renew_log
from factory_resources.tables.logged_files import current_files, past_versions
from factory_resources.tables.snapshot import Snapshot
from factory_resources.tables.writer import write
from tests.delta_logs import break_log
from tests.power_cuts import PowerCut

TIME = "SELECT 1 AS a, TIMESTAMP '2020-01-01 00:00:00' AS moment"


def _write(home: Home, query: str, partition: str | None = None) -> Snapshot:
    with home.scratch() as scratch, sealed(read=[], write=scratch) as connection:
        snapshot = write(connection, query, home=home, table="p/t", folder=scratch)
        return publish(snapshot, home, partition)


def _folder(home: Home) -> Path:
    return home.tables / "p" / "t"


def _columns(home: Home, version: int | None = None) -> list[str]:
    return [field.name for field in DeltaTable(_folder(home), version=version).schema().fields]


@pytest.mark.parametrize("partition", [None, "x"])
def test_a_table_gains_its_first_time(partition: str | None, home: Home) -> None:
    snapshots = [
        _write(home, query, partition)
        for query in ("SELECT 1 AS a", TIME, TIME.replace("1 AS", "2 AS"), "SELECT 3 AS a", TIME)
    ]
    versions = [snapshot.data_version for snapshot in snapshots]
    assert past_versions(_folder(home)) == versions[::-1]
    assert current_files(_folder(home)) == {snapshots[-1].files[0].name}
    last = DeltaTable(_folder(home)).version()
    more = ["_partition"] if partition else []
    read = [_columns(home, version) for version in range(last + 1)]
    # The protocol is raised in a commit of its own, which changes no column.
    one, two = ["a", *more], ["a", "moment", *more]
    assert read == [one, one, two, two, one, two]
    assert DeltaTable(_folder(home)).to_pyarrow_table()["moment"].to_pylist()[0].year == 2020


def test_a_commit_that_cannot_be_read_does_not_count(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _write(home, "SELECT 1 AS a")
    with monkeypatch.context() as patch:
        patch.setattr(delta_log, "declare_features", lambda *_: None)
        with pytest.raises(StorageError, match="cannot record version") as caught:
            _write(home, TIME)
    assert "\n" not in str(caught.value)
    assert current_files(_folder(home)) == {first.files[0].name}
    assert DeltaTable(_folder(home)).version() == 0
    assert current_files(_folder(home)) != {_write(home, TIME).files[0].name}
    assert _columns(home) == ["a", "moment"]


def test_a_log_that_an_earlier_version_broke_is_repaired_by_the_next_commit(home: Home) -> None:
    first = _write(home, "SELECT 1 AS a")
    break_log(_folder(home))
    with pytest.raises(StorageError, match=r"_delta_log: cannot be read .*--no-reuse"):
        current_files(_folder(home))
    second = _write(home, TIME)
    assert past_versions(_folder(home)) == [second.data_version, first.data_version]
    assert _columns(home) == ["a", "moment"]


def test_a_broken_log_is_repaired_without_a_commit_of_rows(home: Home) -> None:
    first = _write(home, "SELECT 1 AS a")
    break_log(_folder(home))
    for _ in range(2):
        repair_log(first, home)
        assert current_files(_folder(home)) == {first.files[0].name}
    assert DeltaTable(_folder(home)).version() == 2


def test_another_damage_is_not_taken_for_a_missing_feature(home: Home) -> None:
    first = _write(home, "SELECT 1 AS a")
    (_folder(home) / "_delta_log" / f"{0:020}.json").write_text("{broken")
    repair_log(first, home)
    for read in (current_files, past_versions):
        with pytest.raises(StorageError, match="_delta_log: cannot be read"):
            read(_folder(home))
    assert len([*(_folder(home) / "_delta_log").iterdir()]) == 1


def test_partitions_with_other_columns_leave_the_log_and_come_back(home: Home) -> None:
    def partitions() -> list[str]:
        adds = DeltaTable(_folder(home)).get_add_actions(flatten=True)
        return sorted(adds.column("partition._partition").to_pylist())

    for key in "abc":
        _write(home, f"SELECT 1 AS n, '{key}' AS k", key)
    for key, there in (("a", ["a"]), ("b", ["a", "b"])):
        _write(home, f"SELECT 'one' AS n, '{key}' AS k", key)
        assert partitions() == there
    table = DeltaTable(_folder(home)).to_pyarrow_table()
    assert (table["n"].to_pylist(), sorted(table["k"].to_pylist())) == (["one"] * 2, ["a", "b"])
    # The change is taken back; c was never written with the other columns.
    _write(home, "SELECT 1 AS n, 'a' AS k", "a")
    assert partitions() == ["a", "b", "c"]
    table = DeltaTable(_folder(home)).to_pyarrow_table()
    assert (table["n"].to_pylist(), sorted(table["k"].to_pylist())) == ([1] * 3, ["a", "b", "c"])


def test_columns_are_recognised_whatever_the_locale(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("io.text_encoding", lambda encoding, *_: encoding or "latin-1")
    for key, value in (("a", "1"), ("b", "1"), ("a", "'one'"), ("a", "1")):
        _write(home, f"SELECT {value} AS größe, '{key}' AS Å", key)
    table = DeltaTable(_folder(home)).to_pyarrow_table()
    assert (table["größe"].to_pylist(), sorted(table["Å"].to_pylist())) == ([1] * 2, ["a", "b"])


def test_a_table_becomes_one_in_partitions_and_back(home: Home) -> None:
    def read(version: int | None = None) -> dict[str, Any]:
        table = DeltaTable(_folder(home), version=version).to_pyarrow_table()
        found = table.select([name for name in ("a", "_partition") if name in table.column_names])
        return {name: sorted(values) for name, values in found.to_pydict().items()}

    whole = _write(home, TIME)
    divided = {key: _write(home, TIME.replace("1 AS", f"{key} AS"), key) for key in "23"}
    assert read() == {"a": [2, 3], "_partition": ["2", "3"]}
    for _ in range(2):
        publish(whole, home)
        assert read() == {"a": [1]}
        assert current_files(_folder(home)) == {whole.files[0].name}
    publish(divided["3"], home, "3")
    assert read() == {"a": [2, 3], "_partition": ["2", "3"]}
    assert [read(version)["a"] for version in range(5)] == [[1], [2], [2, 3], [1], [2, 3]]


def test_a_reader_of_a_table_with_many_commits_reads_few_of_them(home: Home) -> None:
    keys = [f"{number:02}" for number in range(24)]
    for key in keys:
        _write(home, f"SELECT '{key}' AS k", key)
    log = _folder(home) / "_delta_log"
    assert json.loads((log / "_last_checkpoint").read_text())["version"] == 20
    for number in range(20):
        commit_path(_folder(home), number).unlink()
    read = DeltaTable(_folder(home)).to_pyarrow_table()
    assert sorted(read["k"].to_pylist()) == keys


def test_a_commit_does_not_count_if_reading_it_again_finds_other_files(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _write(home, "SELECT 1 AS a")
    with monkeypatch.context() as patch:
        patch.setattr(DeltaTable, "update_incremental", lambda _: None)
        with pytest.raises(StorageError, match="reads differently from what was written"):
            _write(home, "SELECT 2 AS a")
    assert current_files(_folder(home)) == {first.files[0].name}
    _write(home, "SELECT 2 AS a")
    assert DeltaTable(_folder(home)).version() == 1


@pytest.mark.parametrize("partition", [None, "x"])
def test_a_power_cut_takes_nothing_of_a_version_that_was_recorded(
    partition: str | None, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.require_writable()
    power = PowerCut(home, monkeypatch, "tables")
    for number in range(11):
        _write(home, TIME if number == 1 else f"SELECT {number} AS a", partition)
        assert power.lost() == []
    assert [*_folder(home).glob("_delta_log/*.checkpoint.parquet")]


def test_a_power_cut_leaves_the_old_log_or_the_new_one(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        _write(home, f"SELECT {number} AS a", "x")
    power = PowerCut(home, monkeypatch, "tables")
    lost, unlink = list[str](), Path.unlink

    def note(path: Path, missing_ok: bool = False) -> None:
        lost.extend(power.lost())
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", note)
    renew_log("p/t", home)
    assert len([*_folder(home).glob("_delta_log/*.json")]) == 1
    assert lost == []
