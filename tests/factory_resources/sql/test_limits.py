"""Declared SQL ends within its time and memory, and leaves the process as it was."""

import resource
import threading
from pathlib import Path

import pytest

from factory_resources.errors import ExpressionError, StorageError
from factory_resources.sql.engine import engine_errors, sealed
from factory_resources.sql.limits import bounded
from tests.long_run import in_long


def _run(folder: Path, sql: str, seconds: float, memory: str = "300MB") -> None:
    with (
        sealed(read=[], write=folder, memory=memory, threads=2) as connection,
        engine_errors("here"),
        bounded(connection, seconds, "here", "do less"),
    ):
        rows = "SELECT i AS x, 'a' || i AS s FROM range(500) r(i)"
        connection.execute(f"CREATE TEMP TABLE t AS {rows}")
        connection.execute(f"SELECT bit_xor(hash({sql})) FROM t").fetchall()


@pytest.mark.parametrize(
    "sql",
    [
        "format('{:2000000000}', s)",
        "printf('%2000000000d', x)",
        "repeat(s, 1000000000)",
        "len(range(x + 1000000000))",
        "list_sum(list_sort(list_reverse(range(x, x + 3000000))))",
        "len(repeat(s, 20000000))",
        *in_long(
            [
                "regexp_replace(lpad(s, 90000, 'a'), '', lpad(s, 90000, 'b'), 'g')",
            ]
        ),
    ],
)
def test_an_expression_that_needs_too_much_memory_fails(sql: str, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises((StorageError, ExpressionError), match=r"memory|takes more than"):
        _run(tmp_path, sql, 10)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.parametrize(
    "sql",
    [
        "levenshtein(repeat(s, 40000), repeat('b', 40000))",
        *in_long(
            [
                "replace(lpad(s, 90000, 'a'), 'a', lpad(s, 90000, 'b'))",
            ]
        ),
    ],
)
def test_an_expression_that_takes_too_long_is_interrupted(sql: str, tmp_path: Path) -> None:
    """For all rows it would take an hour: that there is an error tells that it was interrupted."""
    with pytest.raises((ExpressionError, StorageError)) as caught:
        _run(tmp_path, sql, 1, memory="1GB")
    line = str(caught.value)
    assert "here: takes more than 1 s; do less" in line or "memory" in line


@pytest.mark.parametrize("name", ["lpad", "rpad"])
@pytest.mark.parametrize("text", ["s", "'x'"])
@pytest.mark.parametrize("length", ["2000000000", "CAST(2e9 AS INT)", "2000000000 + x"])
def test_padding_has_a_longest_text(name: str, text: str, length: str, tmp_path: Path) -> None:
    """The engine would build two billion characters one by one, without looking at its limits.

    The message is that of the guard, which comes before any character.
    """
    with pytest.raises(ExpressionError, match=f"here: {name} to more than 100,000 characters"):
        _run(tmp_path, f"{name}({text}, {length}, 'y')", 60)


def test_padding_within_its_limit_is_that_of_the_engine(tmp_path: Path) -> None:
    query = (
        "SELECT [lpad(s, n, p), rpad(s, n, p)] FROM (VALUES ('abc', 2, 'x'), ('abc', 7, 'xy'), "
        "('abc', 0, 'x'), (NULL, 3, 'x'), ('abc', NULL, 'x'), ('abc', 5, NULL), ('', 100000, 'é'), "
        "('日本', 5, '語'), ('abc', -1, 'x')) t(s, n, p)"
    )
    with sealed(read=[], write=tmp_path) as connection:
        expected = connection.execute(query).fetchall()
        with bounded(connection, 60, "here", "do less"):
            assert connection.execute(query).fetchall() == expected


def test_what_stays_within_its_limits_is_not_disturbed(tmp_path: Path) -> None:
    threads = {*threading.enumerate()}
    _run(tmp_path, "repeat(s, 1000)", 60)
    # One of an earlier test may have ended meanwhile.
    assert {*threading.enumerate()} <= threads
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY


@pytest.mark.long
def test_data_far_beyond_the_memory_limit_still_spills_to_disk(tmp_path: Path) -> None:
    with (
        sealed(read=[], write=tmp_path, memory="200MB", threads=2) as connection,
        bounded(connection, 120, "here", "do less"),
    ):
        query = "SELECT i, md5(i::VARCHAR) AS h FROM range(6000000) t(i) ORDER BY h"
        connection.execute(f"COPY ({query}) TO '{tmp_path}/o.parquet' (FORMAT parquet)")


def test_engines_at_the_same_time_restore_the_limit(tmp_path: Path) -> None:
    """The limit is that of the process, and the first engine ends before the last."""
    started, release = threading.Event(), threading.Event()

    def long() -> None:
        with (
            sealed(read=[], write=tmp_path) as connection,
            bounded(connection, 60, "here", "do less"),
        ):
            started.set()
            release.wait(30)

    other = threading.Thread(target=long)
    other.start()
    started.wait(30)
    _run(tmp_path, "x + 1", 60)
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] != resource.RLIM_INFINITY
    release.set()
    other.join()
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY
