"""A search for planted people that shares no code with that of the factory, which it judges.

It is made of tools: grep, DuckDB, sqlite3, zipfile, psycopg2.
"""

import gzip
import sqlite3
import subprocess
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow

from tests.planted_people import PEOPLE
from tests.postgres import Postgres


def places(home: Path, scratch: Path) -> set[str]:
    """Return the files of a home that have a value of the people, as bytes or decoded.

    Args:
        scratch: a folder outside of the home, where the content of databases, tables and packed
            files is written to be searched as well.
    """
    scratch.mkdir()
    _unpack(home, scratch / "unpacked")
    return _naming([home, scratch / "unpacked"], scratch / "patterns")


def server_places(postgres: Postgres, address: str, scratch: Path) -> set[str]:
    """Return the tables and the files of a database that have a value of the people.

    The server's own log is not searched.
    """
    rows = scratch / "rows"
    rows.mkdir(parents=True)
    tables = postgres.execute(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN "
        "('pg_catalog', 'information_schema')",
        database=address,
    )
    assert len(tables) > 40
    for schema, table in tables:
        found = postgres.execute(f'SELECT * FROM "{schema}"."{table}"', database=address)
        (rows / f"{schema}.{table}").write_bytes(
            b"\n".join(b"\t".join(map(_cell, row)) for row in found)
        )
    with postgres.at_rest(address) as files:
        return _naming([rows, files], scratch / "patterns")


def _cell(cell: object) -> bytes:
    return bytes(cell) if isinstance(cell, memoryview) else str(cell).encode()


def _naming(folders: Iterable[Path], patterns: Path) -> set[str]:
    """Return the files in some folders that have a value of the people."""
    words = [text.encode() for person in PEOPLE for text in person.texts]
    rounded = [text.encode() for person in PEOPLE for text in person.rounded]
    binary = [content for person in PEOPLE for content in person.binary]
    found: set[str] = set()
    for folder in folders:
        for how, some in {"-F": [*words, *binary], "-Fw": rounded}.items():
            paths = _grep(how, some, folder, patterns)
            found.update(str(Path(path).relative_to(folder)) for path in paths)
    return found


def _grep(how: str, patterns: Iterable[bytes], folder: Path, file: Path) -> Iterator[str]:
    """Yield the files that have one of the patterns; those with a line break grep cannot take."""
    lines = [one for one in patterns if b"\n" not in one]
    file.write_bytes(b"\n".join(lines) + b"\n")
    command = ["grep", "-ral", how, "-f", str(file), str(folder)]
    environment = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode in (0, 1), done.stderr
    yield from done.stdout.splitlines()
    for path in _files(folder):
        content = path.read_bytes()
        if any(one in content for one in patterns if b"\n" in one):
            yield str(path)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _unpack(home: Path, to: Path) -> None:
    for path in _files(home):
        for number, content in enumerate(_inner(path)):
            target = to / path.relative_to(home) / str(number)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def _inner(path: Path) -> Iterator[bytes]:
    """Yield what a file has besides its bytes."""
    head = path.read_bytes()[:16]
    if head.startswith(b"SQLite format 3"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            yield "\n".join(connection.iterdump()).encode("utf-8", "surrogateescape")
            for (cell,) in _blobs(connection):
                yield cell
    elif head.startswith(b"PAR1"):
        for query in (
            f"FROM '{path}'",
            f"FROM parquet_metadata('{path}')",
            f"SELECT key::VARCHAR, value::VARCHAR FROM parquet_kv_metadata('{path}')",
        ):
            rows = duckdb.execute(query).fetchall()
            yield "\n".join("\t".join(map(str, row)) for row in rows).encode()
    elif head.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(path) as archive:
            yield from map(archive.read, archive.namelist())
    elif head.startswith(b"\x1f\x8b"):
        yield gzip.decompress(path.read_bytes())
    elif head.startswith(b"\x28\xb5\x2f\xfd"):
        yield pyarrow.input_stream(str(path), compression="zstd").read()


def _blobs(connection: sqlite3.Connection) -> Iterator[tuple[bytes]]:
    """Yield the binary cells: a dump writes them in hexadecimal digits."""
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        for row in connection.execute(f'SELECT * FROM "{table}"'):
            yield from ((cell,) for cell in row if isinstance(cell, bytes))
