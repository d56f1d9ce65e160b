"""Shared engines: no job reaches more than with an engine of its own, nor what another one left."""

from pathlib import Path

import duckdb
import pytest

from factory_resources.sql.engine import literal, rows_numbered
from factory_resources.sql.shared_engines import SMALL, SharedEngines
from tests.factory_resources.sql.test_engine import OUTSIDE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    (folder / "job").mkdir(parents=True)
    return folder


@pytest.mark.parametrize("what", OUTSIDE)
def test_sql_does_not_reach_beyond_the_folder(what: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\nsecret\n")
    frame = duckdb.sql("SELECT 1 AS a").to_arrow_table()
    assert frame.num_rows == 1
    before = {path.name for path in tmp_path.rglob("*")}
    with (
        SharedEngines(folder) as engines,
        pytest.raises(duckdb.Error),
        engines.sealed(read=[], write=folder / "job", profile=True) as connection,
    ):
        connection.execute(OUTSIDE[what].format(folder=tmp_path)).fetchall()
    assert {path.name for path in tmp_path.rglob("*")} == before


def test_a_job_sees_nothing_that_another_one_defined(folder: Path) -> None:
    with SharedEngines(folder) as engines:
        with engines.sealed(read=[], write=folder / "job") as connection:
            connection.execute("CREATE TEMP VIEW source AS SELECT 1")
            connection.execute("CREATE TEMP MACRO lpad(x) AS 1")
            connection.execute("SET VARIABLE marked = 1")
        with engines.sealed(read=[], write=folder / "job") as connection:
            assert connection.execute("SELECT getvariable('marked')").fetchone() == (None,)
            assert connection.execute("SELECT lpad('a', 2, 'b')").fetchone() == ("ba",)
            with pytest.raises(duckdb.CatalogException):
                connection.execute("FROM source")


def test_jobs_share_an_engine_until_one_fails(folder: Path) -> None:
    def transactions() -> object:
        with engines.sealed(read=[], write=folder / "job") as connection:
            return connection.execute("SELECT txid_current()").fetchone()

    with SharedEngines(folder) as engines:
        first = transactions()
        assert transactions() != first
        with (
            pytest.raises(duckdb.Error),
            engines.sealed(read=[], write=folder / "job") as connection,
        ):
            connection.execute("SELECT error('fails')").fetchall()
        assert transactions() == first


def test_each_job_counts_its_own_rows(folder: Path) -> None:
    query = "SELECT max(n) FROM (SELECT row_number() OVER () AS n FROM range({rows}))"
    with SharedEngines(folder) as engines:
        for rows in (3, 5):
            with engines.sealed(read=[], write=folder / "job", profile=True) as connection:
                connection.execute(query.format(rows=rows)).fetchall()
                assert rows_numbered(connection) == rows
        with (
            pytest.raises(duckdb.InvalidInputException, match="locked"),
            engines.sealed(read=[], write=folder / "job") as connection,
        ):
            connection.execute("SET enable_profiling = 'json'")


def test_small_files_are_brought_to_the_engine(folder: Path, tmp_path: Path) -> None:
    small, large = tmp_path / "it's [1] k=v.csv", tmp_path / "large.csv"
    small.write_text("a\n1\n2\n")
    large.write_text("a\n" + "1\n" * (SMALL // 2))
    with SharedEngines(folder) as engines:
        paths = [engines.visible_path(path, folder / "job") for path in (small, large)]
        assert paths[0].is_relative_to(folder / "job")
        assert (paths[0].name, paths[1]) == (small.name, large)
        assert engines.visible_path(paths[0], folder / "job") == paths[0]
        for path, rows in zip(paths, (2, SMALL // 2), strict=True):
            with engines.sealed(read=[path], write=folder / "job") as connection:
                query = f"SELECT sum(a) FROM read_csv({literal(str(path))})"
                assert connection.execute(query).fetchone() in {(rows,), (3,)}
    assert SharedEngines().visible_path(small, folder / "job") == small


def test_a_copy_for_the_engine_is_removed(folder: Path, tmp_path: Path) -> None:
    (small := tmp_path / "small.csv").write_text("a\n1\n")
    with SharedEngines(folder) as engines:
        with engines.seeing(small, folder / "job") as (connection, seen):
            query = f"FROM read_csv({literal(str(seen))})"
            assert connection.execute(query).fetchall() == [(1,)]
            with engines.seeing(seen, folder / "job") as (_, same):
                assert same == seen
            assert seen.exists()
        assert [*(folder / "job").iterdir()] == []
    assert small.exists()
