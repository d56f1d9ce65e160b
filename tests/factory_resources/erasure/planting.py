"""Places of a home into which tests write a value, and values to write."""

import base64
import gzip
import io
import json
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from factory_resources.erasure.values import Value, is_searchable

Plant = Callable[[Path, Value], None]
"""Writes a value into a file of this name."""

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=6, max_size=60)

VALUES: st.SearchStrategy[Value] = st.one_of(
    TEXTS,
    st.text("abcXYZ0189 '\"\\|&<[`é€😀", min_size=6, max_size=50),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(100_000, 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(0.001, 10_000),
    st.dates(date(1900, 1, 1)),
    st.datetimes(datetime(1900, 1, 1)),
).filter(is_searchable)


def shown(value: Value) -> str:
    """Return a value as a page or a log has it."""
    return str(value)


def _text(path: Path, value: Value) -> None:
    path.write_text(f"before\n it was {shown(value)}, or so\n", encoding="utf-8")


def _message(path: Path, value: Value) -> None:
    quoted = repr(value) if isinstance(value, str) else shown(value)
    path.write_text(f"ValueError: {quoted} breaks a rule\n", encoding="utf-8")


def _json(path: Path, value: Value) -> None:
    path.write_text(json.dumps({"event": {"rows": [1, _plain(value)]}, "time": 1.5}))


def _json_in_json(path: Path, value: Value) -> None:
    path.write_text(json.dumps({"tags": json.dumps({"message": f"| {shown(value)} |"})}))


def _html(path: Path, value: Value) -> None:
    path.write_text(f"<td>{escape(shown(value))}</td>", encoding="utf-8")


def _address(path: Path, value: Value) -> None:
    path.write_text(f"GET /rows?name={quote(shown(value))}&x=1")


def _csv(path: Path, value: Value) -> None:
    path.write_text('a,"' + shown(value).replace('"', '""') + '",b\n', encoding="utf-8")


def _gzip(path: Path, value: Value) -> None:
    path.write_bytes(gzip.compress(f"x {shown(value)} y".encode()))


def _zstd(path: Path, value: Value) -> None:
    with pa.output_stream(str(path), compression="zstd") as file:
        file.write(f"x {shown(value)} y".encode())


def _zip(path: Path, value: Value) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", json.dumps({"state": _plain(value)}))


def _picture(path: Path, value: Value) -> None:
    from PIL import Image, PngImagePlugin

    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("Comment", shown(value), zip=True)
    Image.new("L", (4, 4)).save(path, "png", pnginfo=notes)


def _column(value: Value) -> pa.Array:
    return pa.array([None, value, value], pa.int64() if isinstance(value, int) else None)


def _parquet(path: Path, value: Value) -> None:
    pq.write_table(
        pa.table({"x": _column(value)}), path, compression="zstd", write_statistics=False
    )


def _statistics(path: Path, value: Value) -> None:
    pq.write_table(pa.table({"x": _column(value)}), path, compression="zstd")


def _nested(path: Path, value: Value) -> None:
    parts = pa.StructArray.from_arrays([_column(value)], ["part"])
    column = pa.ListArray.from_arrays(pa.array([0, 1, 3], pa.int32()), parts)
    pq.write_table(pa.table({"x": column}), path, compression="zstd", write_statistics=False)


def _categories(path: Path, value: Value) -> None:
    column = _column(value).dictionary_encode()
    pq.write_table(pa.table({"x": column}), path, compression="zstd", write_statistics=False)


def _sqlite(path: Path, value: Value) -> None:
    _write_sqlite(path, value, "")


def _free_pages(path: Path, value: Value) -> None:
    _write_sqlite(path, value, "DELETE FROM event_logs")


def _write_sqlite(path: Path, value: Value, rest: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("CREATE TABLE event_logs (id INTEGER PRIMARY KEY, event TEXT)")
        # Enough that pages are given back when the rows go.
        texts = [(json.dumps({"metadata": shown(value), "n": "x" * 500}),) for _ in range(40)]
        connection.executemany("INSERT INTO event_logs (event) VALUES (?)", texts)
        connection.commit()
        connection.execute(rest or "SELECT 1")


def _cursor(path: Path, value: Value) -> None:
    content = base64.b64encode(zlib.compress(json.dumps({"key": _plain(value)}).encode()))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE kvs (key TEXT PRIMARY KEY, value TEXT)")
        connection.execute("INSERT INTO kvs VALUES ('cursor', ?)", ["0" + content.decode()])


def _plain(value: Value) -> str | int | float:
    return value if isinstance(value, str | int | float) else shown(value)


def plant_numbers(path: Path, value: float) -> None:
    """Write a number into an array that is not compressed, as the state of drift detection has."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, values=np.array([1.0, value]))
    path.write_bytes(content.getvalue())


def plant_packed(path: Path, value: float) -> None:
    """Write a float as MessagePack has it."""
    path.write_bytes(b"\x93\x01\xcb" + struct.pack(">d", value) + b"\xc0" * 9)


SCRUBBED: dict[str, Plant] = {
    "dagster/history/runs/index.db": _sqlite,
    "mlflow.db": _free_pages,
    "tune.db": _cursor,
    "logs/door.log": _text,
    "logs/error-1.log": _message,
    "dagster/storage/run/compute_logs/step.err": _json,
}
"""Places in which values are replaced."""

READ: dict[str, Plant] = {
    **SCRUBBED,
    "records/apples/clean/key.json": _json,
    "records/apples/runs/page.json": _json_in_json,
    "pictures/page.html": _html,
    "logs/requests.log": _address,
    "source.csv": _csv,
    "logs/old.log.gz": _gzip,
    "notes.zst": _zstd,
    "artifacts/model.skops": _zip,
    "pictures/plot.png": _picture,
    "tables/apples/clean/a.parquet": _parquet,
    "tables/apples/clean/b.parquet": _statistics,
    "tables/apples/clean/c.parquet": _nested,
    "tables/apples/clean/d.parquet": _categories,
}
"""Places in which values are found."""


def plant(home: Path, places: dict[str, Plant], value: Value) -> None:
    """Write a value into places of a home."""
    for name, write in places.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        write(path, value)
