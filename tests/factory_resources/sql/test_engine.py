"""The sealed engine: what its SQL can reach, and how DuckDB's errors are reported."""

import signal
from pathlib import Path
from typing import NoReturn

import duckdb
import pytest

from factory_resources.errors import ExpressionError, FactoryError, SourceError, StorageError
from factory_resources.sql.engine import (
    engine_errors,
    essence,
    identifier,
    interruptible,
    literal,
    sealed,
)

OUTSIDE = {
    "another file": "FROM read_csv('{folder}/secret.csv')",
    "text of another file": "FROM read_text('{folder}/secret.csv')",
    "a file's name as table": "FROM '{folder}/secret.csv'",
    "a listing": "FROM glob('{folder}/*')",
    "writing elsewhere": "COPY (SELECT 1) TO '{folder}/out.csv'",
    "another database": "ATTACH '{folder}/other.db'",
    "the network": "FROM read_csv('http://127.0.0.1:9/x.csv')",
    "installing an extension": "INSTALL httpfs",
    "loading an extension": "LOAD httpfs",
    "a secret": "CREATE SECRET (TYPE s3)",
    "the environment": "SELECT getenv('HOME')",
    "the seal itself": "SET enable_external_access = true",
    "the allowed folders": "SET allowed_directories = ['/']",
    "the lock": "SET lock_configuration = false",
    "a variable of Python": "FROM frame",
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_sealed_sql_does_not_reach(what: str, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\nsecret\n")
    (tmp_path / "in.csv").write_text("a\n1\n")
    (tmp_path / "scratch").mkdir()
    frame = duckdb.sql("SELECT 1 AS a").to_arrow_table()
    assert frame.num_rows == 1
    before = {path.name for path in tmp_path.rglob("*")}
    with (
        sealed(read=[tmp_path / "in.csv"], write=tmp_path / "scratch") as connection,
        pytest.raises(duckdb.Error),
    ):
        connection.execute(OUTSIDE[what].format(folder=tmp_path)).fetchall()
    assert {path.name for path in tmp_path.rglob("*")} == before


def test_sealed_sql_reads_its_sources_and_writes_its_folder(tmp_path: Path) -> None:
    source = tmp_path / "it's [1] k=v.csv"
    source.write_text("a\n1\n2\n")
    scratch = tmp_path / "scratch [x]"
    scratch.mkdir()
    with sealed(read=[source], write=scratch) as connection:
        target = literal(str(scratch / "out.parquet"))
        connection.execute(f"COPY (FROM read_csv({literal(str(source))})) TO {target}")
        assert connection.execute(f"SELECT sum(a) FROM read_parquet({target})").fetchone() == (3,)


def test_data_beyond_the_memory_limit_spills_to_disk(tmp_path: Path) -> None:
    with sealed(read=[], write=tmp_path, memory="200MB") as connection:
        query = "SELECT * FROM (SELECT i, md5(i::VARCHAR) AS h FROM range(4000000) t(i)) ORDER BY h"
        connection.execute(f"COPY ({query}) TO {literal(str(tmp_path / 'o.parquet'))}")


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ("SELECT nosuch", ExpressionError, 'here: Referenced column "nosuch" was not found'),
        ("SELECT sqroot(4)", ExpressionError, 'Did you mean "sqrt"?'),
        ("SELECT CAST('x' AS INT)", ExpressionError, "here: Could not convert string 'x'"),
        ("SELEC 1", ExpressionError, "here: syntax error"),
    ],
)
def test_engine_errors_reports_one_line(
    query: str, error: type[FactoryError], message: str, tmp_path: Path
) -> None:
    with (
        sealed(read=[], write=tmp_path) as connection,
        pytest.raises(error) as caught,
        engine_errors("here"),
    ):
        connection.execute(query).fetchall()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "LINE 1" not in str(caught.value)


def test_engine_errors_distinguishes_faults_of_memory_and_disk(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="raise FACTORY_MEMORY"), engine_errors("here"):
        raise duckdb.OutOfMemoryException(
            "Out of Memory Error: failed to pin\n\nPossible solutions"
        )
    with pytest.raises(StorageError, match="free space"), engine_errors("here"):
        raise duckdb.IOException('IO Error: Could not write file "x": No space left on device')
    with (
        pytest.raises(SourceError, match="here: odd; do it"),
        engine_errors("here", SourceError, "do it"),
    ):
        raise duckdb.InvalidInputException("Invalid Input Error: odd")
    with pytest.raises(duckdb.InternalException), engine_errors("here"):
        raise duckdb.InternalException("INTERNAL Error: ours")


def test_essence_has_what_the_engine_suggests_and_no_title_of_a_list() -> None:
    with pytest.raises(duckdb.Error) as caught:
        duckdb.sql("SELECT 'a'::varchar + 1")
    assert essence(caught.value).endswith("You might need to add explicit type casts")
    with pytest.raises(duckdb.Error) as caught:
        duckdb.sql("SELECT sise FROM (SELECT 1 AS size)")
    assert essence(caught.value).endswith('(Candidate bindings: "size")')


def test_essence_of_an_empty_message_is_the_error_type() -> None:
    assert essence(duckdb.Error()) == "Error"


@pytest.mark.parametrize("name", ['a"b', "select", "it's", "a;b--", "ü ö"])
def test_literal_and_identifier_quote_any_text(name: str) -> None:
    with duckdb.connect() as connection:
        sql = f"SELECT {literal(name)} AS {identifier(name)}"
        result = connection.execute(sql)
        assert result.fetchall() == [(name,)]
        assert [column[0] for column in result.description] == [name]


def test_a_signal_interrupts_a_query(tmp_path: Path) -> None:
    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with sealed(read=[], write=tmp_path) as connection:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(KeyboardInterrupt), interruptible():
                connection.execute("SELECT sum(hash(range)) FROM range(500000000)")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="of its own"), interruptible():
        raise RuntimeError("of its own")
