"""Writing snapshots: they are immutable, recorded once, and never visible in part."""

import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from deltalake import DeltaTable

from factory_resources.errors import ExpressionError, StorageError
from factory_resources.home.home import Home
from factory_resources.sql.engine import sealed
from factory_resources.tables import delta_log
from factory_resources.tables.delta_log import publish
from factory_resources.tables.snapshot import Snapshot, exists, read_arrow
from factory_resources.tables.writer import write


def _write(home: Home, query: str, table: str = "p/t") -> Snapshot:
    with home.scratch() as scratch, sealed(read=[], write=scratch) as connection:
        return publish(write(connection, query, home=home, table=table, folder=scratch), home)


def _log(home: Home) -> DeltaTable:
    return DeltaTable(str(home.tables / "p" / "t"))


def test_a_snapshot_is_named_by_its_content(home: Home) -> None:
    snapshot = _write(home, "SELECT i AS a, 'x' || i AS b FROM range(3) t(i)")
    path = snapshot.paths(home)[0]
    assert snapshot.data_version == sha256(path.read_bytes()).hexdigest()
    assert path.name == f"{snapshot.data_version}.parquet"
    assert (snapshot.rows, snapshot.bytes) == (3, path.stat().st_size)
    assert snapshot.columns == {"a": "BIGINT", "b": "VARCHAR"}
    assert exists(snapshot, home)
    assert read_arrow(snapshot, home, ["b"]).to_pydict() == {"b": ["x0", "x1", "x2"]}
    assert [p.name for p in home.tmp.iterdir()] == ["locks"]


def test_files_are_read_together_if_only_one_has_missing_values(home: Home) -> None:
    whole, missing = _write(home, "SELECT 1 AS a"), _write(home, "SELECT NULL::INTEGER AS a")
    both = whole.model_copy(update={"files": (*whole.files, *missing.files)})
    assert read_arrow(both, home).to_pydict() == {"a": [1, None]}


def test_a_version_is_added_for_new_content_and_old_ones_stay_readable(home: Home) -> None:
    one, two = _write(home, "SELECT 1 AS a"), _write(home, "SELECT 'b' AS other")
    assert _write(home, "SELECT 'b' AS other") == two
    log = _log(home)
    assert log.version() == 1
    assert [entry["data_version"] for entry in log.history()] == [
        two.data_version,
        one.data_version,
    ]
    assert [Path(uri).name for uri in log.file_uris()] == [two.files[0].name]
    assert read_arrow(one, home).to_pydict() == {"a": [1]}
    log.load_as_version(0)
    assert [Path(uri).name for uri in log.file_uris()] == [one.files[0].name]
    assert _write(home, "SELECT 1 AS a") == one
    assert [Path(uri).name for uri in _log(home).file_uris()] == [one.files[0].name]


def test_a_home_can_be_moved(home: Home, tmp_path: Path) -> None:
    snapshot = _write(home, "SELECT 1 AS a")
    moved = Home(tmp_path / "moved")
    shutil.move(home.path, moved.path)
    assert read_arrow(snapshot, moved).num_rows == 1
    assert not exists(snapshot, home)


def test_similar_types_are_stored_as_one(home: Home) -> None:
    snapshot = _write(
        home,
        "SELECT 1::TINYINT AS i, 2.5 AS d, 1::FLOAT AS f, 3::HUGEINT AS h, NULL AS n, "
        "TIMESTAMPTZ '2020-01-01 00:00:00+02' AS z, DATE '2020-01-01' AS t, true AS b, "
        "TIMESTAMP_NS '2020-01-01 00:00:00.000001' AS ns",
    )
    assert [*snapshot.columns.values()] == [
        *["BIGINT", "DOUBLE", "DOUBLE", "BIGINT", "VARCHAR"],
        *["TIMESTAMP", "DATE", "BOOLEAN", "TIMESTAMP"],
    ]
    row = read_arrow(snapshot, home).to_pylist()[0]
    assert str(row["z"]) == "2019-12-31 22:00:00"
    assert _log(home).schema().fields[0].name == "i"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT INTERVAL 1 DAY AS a", "column 'a' has type INTERVAL, which a table cannot store"),
        ("SELECT 99999999999999999999::HUGEINT AS a", "out of range"),
    ],
)
def test_types_and_values_that_cannot_be_stored_are_refused(
    query: str, message: str, home: Home
) -> None:
    with pytest.raises(ExpressionError, match=message):
        _write(home, query)
    assert not (home.tables / "p").exists()


def test_a_query_without_rows_gives_an_empty_snapshot(home: Home) -> None:
    snapshot = _write(home, "SELECT 1 AS a WHERE false")
    assert (snapshot.rows, read_arrow(snapshot, home).num_rows) == (0, 0)


def test_order_is_preserved_over_many_row_groups(home: Home) -> None:
    snapshot = _write(home, "SELECT i AS a FROM range(600000) t(i) WHERE i % 3 > 0")
    values = read_arrow(snapshot, home)["a"].to_pylist()
    assert values == [i for i in range(600_000) if i % 3 > 0]


@pytest.mark.parametrize("moment", ["os.replace", "factory_resources.tables.delta_log._log"])
def test_a_crash_leaves_the_old_version(
    moment: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = _write(home, "SELECT 1 AS a")
    with monkeypatch.context() as patch:
        patch.setattr(moment, _interrupt)
        with pytest.raises(KeyboardInterrupt):
            _write(home, "SELECT 2 AS a")
    assert [Path(uri).name for uri in _log(home).file_uris()] == [old.files[0].name]
    assert read_arrow(old, home).to_pydict() == {"a": [1]}
    new = _write(home, "SELECT 2 AS a")
    assert [Path(uri).name for uri in _log(home).file_uris()] == [new.files[0].name]


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_missing_or_damaged_file_is_reported(home: Home) -> None:
    snapshot = _write(home, "SELECT 1 AS a")
    path = snapshot.paths(home)[0]
    path.write_bytes(path.read_bytes()[:100])
    assert not exists(snapshot, home)
    with pytest.raises(StorageError, match="its SHA-256 differs"):
        read_arrow(snapshot, home)
    path.unlink()
    with pytest.raises(StorageError, match="materialise the pipeline again"):
        read_arrow(snapshot, home)


def test_a_log_that_cannot_be_written_is_reported(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(home, "SELECT 1 AS a")
    monkeypatch.setattr(delta_log.time, "time", lambda: 0)
    (home.tables / "p" / "t" / "_delta_log" / "00000000000000000000.json").write_text("{broken")
    with pytest.raises(StorageError, match="cannot record version"):
        _write(home, "SELECT 2 AS a")
