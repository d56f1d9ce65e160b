"""A value is found wherever it stands, and places without it are not named."""

import gzip
import io
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from factory_resources.erasure import search, streams
from factory_resources.erasure.search import find_values
from factory_resources.erasure.values import Value
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from tests.factory_resources.erasure.planting import (
    READ,
    VALUES,
    plant,
    plant_numbers,
    plant_packed,
)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("planted") / "home")


def _paths(home: Home, *values: Value) -> set[str]:
    return {one.path for one in find_values(home, values)}


@settings(max_examples=60)
@given(value=VALUES)
def test_a_value_is_found_in_every_place(value: Value, planted: Home) -> None:
    plant(planted.path, READ, value)
    assert _paths(planted, value) == READ.keys()


@settings(max_examples=20)
@given(value=VALUES)
def test_another_value_is_not_found(value: Value, planted: Home) -> None:
    plant(planted.path, READ, value)
    assert not _paths(planted, _other(value))


def _other(value: Value) -> Value:
    """Return a value that is not the same, and neither its beginning nor its end."""
    if isinstance(value, str):
        return "Zaphod7Q Beeblebrox"
    if isinstance(value, int | float):
        return 271_828_182_845 if value != 271_828_182_845 else 314_159_265_358
    step = timedelta(days=1 if value.day < 15 else -1)
    return value + step


@pytest.mark.parametrize("value", [71.38091746, -0.000123456789, 1.7e308 / 3])
def test_a_number_is_found_in_binary_files(value: float, home: Home) -> None:
    home.path.mkdir()
    plant_numbers(home.path / "inputs.npz", value)
    plant_packed(home.path / "journal.open", value)
    found = [*find_values(home, [value])]
    assert {one.path for one in found} == {"inputs.npz", "journal.open"}
    assert {one.form for one in found} == {"binary"}


def test_an_integer_is_found_in_the_journal_of_answers(home: Home) -> None:
    path = home.path / "predictions" / "journal" / "one.open"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x92\xce" + (4_200_424).to_bytes(4) + b"\xce" + (42_004_242).to_bytes(4))
    assert [one.form for one in find_values(home, [42_004_242])] == ["packed"]


def test_a_value_between_two_pieces_is_found_once(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.path.mkdir()
    monkeypatch.setattr(streams, "_PIECE", 64)
    for before in range(200):
        (home.path / "a.log").write_bytes(b"-" * before + b" Zaphod7Qbeeble " + b"-" * 300)
        [found] = find_values(home, ["Zaphod7Qbeeble"])
        assert (found.where, found.form, found.count) == ("bytes", "text", 1)


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (4_200_424_242, b" 14200424242 "),
        # The digits of a digest, which a piece cuts before or behind the number.
        (420_042, b" %b420042%b " % (b"ab" * 7, b"cd" * 7)),
    ],
)
def test_what_stands_beside_a_piece_decides_as_well(
    value: int, other: bytes, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.path.mkdir()
    monkeypatch.setattr(streams, "_PIECE", 64)
    for before in range(200):
        (home.path / "a.log").write_bytes(b"-" * before + other + b"-" * 300)
        assert not [*find_values(home, [value])]


def test_a_text_in_utf_16_is_found(home: Home) -> None:
    home.path.mkdir()
    (home.path / "a.txt").write_text("Zaphod7Qbeeble\n", encoding="utf-16")
    assert [one.form for one in find_values(home, ["Zaphod7Qbeeble"])] == ["utf-16"]


def test_cells_of_a_column_with_few_values_are_counted(home: Home) -> None:
    path = home.tables / "apples" / "clean" / "a.parquet"
    path.parent.mkdir(parents=True)
    towns = [f"Xyzzyville {number % 3}" for number in range(70_000)]
    pq.write_table(pa.table({"town": [*towns, None]}), path)
    found = {one.where: one.count for one in find_values(home, ["Xyzzyville 1"])}
    assert found["column town"] == towns.count("Xyzzyville 1")


def test_columns_that_stand_side_by_side_in_a_free_page_are_found(home: Home) -> None:
    home.path.mkdir()
    with closing(sqlite3.connect(home.path / "mlflow.db")) as connection, connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("CREATE TABLE t (a TEXT, b TEXT, c TEXT)")
        rows = [("one", "Zaphod7Qbeeble", "x" * 500)] * 40
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        connection.commit()
        connection.execute("DROP TABLE t")
    assert [one.where for one in find_values(home, ["Zaphod7Qbeeble"])] == ["bytes"]


def test_columns_statistics_and_notes_of_a_table_are_named(home: Home) -> None:
    path = home.tables / "apples" / "clean" / "a.parquet"
    path.parent.mkdir(parents=True)
    table = pa.table(
        {
            "name": ["Zaphod7Qbeeble", "person10", "person11", None],
            "weight": pa.array([71.38091746, 1.0, 2.0, 3.0], pa.float32()),
            "born": [date(1987, 3, 14), None, date(1990, 1, 1), date(1950, 1, 1)],
            "seen": pa.array([datetime(2025, 8, 9, 10, 11, 12)] * 4, pa.timestamp("s", "UTC")),
            "amount": pa.array([1, 2, 3, 4], pa.decimal128(12, 2)),
        }
    )
    pq.write_table(table.replace_schema_metadata({"made for": "Zaphod7Qbeeble"}), path)
    values: list[Value] = [
        "Zaphod7Qbeeble",
        71.38091746,
        date(1987, 3, 14),
        datetime(2025, 8, 9, 10, 11, 12),
    ]
    places = {one.where: one.count for one in find_values(home, values) if one.form == "value"}
    assert places == {
        # Beside the note itself, the schema of Arrow has it in base64.
        "notes": 2,
        "column name": 1,
        "statistics of name": 1,
        "column weight": 1,
        "column born": 1,
        "column seen": 4,
        "statistics of seen": 2,
    }


def test_the_beginning_of_another_cell_is_not_a_value(home: Home) -> None:
    path = home.tables / "apples" / "clean" / "a.parquet"
    path.parent.mkdir(parents=True)
    names = pa.array(["x", "person10", "person1", "the person1, too"])
    pq.write_table(pa.table({"name": names.slice(1)}), path)
    places = [(one.where, one.count) for one in find_values(home, ["person1"])]
    assert ("column name", 2) in places
    assert not [*find_values(home, ["person"])]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()])
def test_a_cell_counts_whatever_the_cell_before_it_ends_in(kind: pa.DataType, home: Home) -> None:
    path = home.tables / "apples" / "clean" / "a.parquet"
    path.parent.mkdir(parents=True)
    notes = pa.array(["ward 7", "4200424242 called", None, "", "17", "4200424242"]).cast(kind)
    # Statistics and dictionaries would name the value, too.
    pq.write_table(pa.table({"note": notes}), path, use_dictionary=False, write_statistics=False)
    places = [(one.where, one.count) for one in find_values(home, [4_200_424_242])]
    assert ("column note", 2) in places


def _picture(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return what a reader of texts sees of a picture, without its image."""
    parts = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content))
        for kind, content in (*chunks, (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_texts_of_a_picture_are_found_packed_or_not(home: Home) -> None:
    home.path.mkdir()
    text = b"of Zaphod7Qbeeble"
    international = b"x\0%s\0de\0x-axis\0"
    chunks = {
        "zTXt": (b"zTXt", b"x\0\0" + zlib.compress(text)),
        "iTXt": (b"iTXt", international % b"\1" + zlib.compress(text)),
        "plain": (b"iTXt", international % b"\0" + text),
    }
    for name, chunk in chunks.items():
        (home.path / f"{name}.png").write_bytes(_picture(chunk))
    found = {one.path: one.where for one in find_values(home, ["Zaphod7Qbeeble"])}
    assert found == {
        "zTXt.png": "packed: zTXt",
        "iTXt.png": "packed: iTXt",
        "plain.png": "bytes",
    }


def test_a_write_ahead_log_is_searched(home: Home) -> None:
    home.path.mkdir()
    path = home.path / "mlflow.db"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE tags (value TEXT)")
        writer.commit()
        writer.execute("INSERT INTO tags VALUES ('Zaphod7Qbeeble')")
        writer.commit()
        found = {(one.path, one.where) for one in find_values(home, ["Zaphod7Qbeeble"])}
    assert found == {("mlflow.db-wal", "bytes"), ("mlflow.db", "tags.value")}
    assert {one.path for one in find_values(home, ["Zaphod7Qbeeble"])} == {"mlflow.db"}
    assert [path.name for path in home.path.iterdir()] == ["mlflow.db"]


def test_links_are_followed_to_their_end(home: Home, tmp_path: Path) -> None:
    disk, inner = tmp_path / "disk", home.path / "tables" / "apples"
    for folder in (disk, inner):
        folder.mkdir(parents=True)
        (folder / "a.json").write_text('"Zaphod7Qbeeble"')
    (home.path / "moved").symlink_to(disk)
    # Each to a folder that it is in: together they would never end.
    for number, folder in enumerate((inner, inner.parent, home.path)):
        (inner / f"up{number}").symlink_to(folder)
    assert _paths(home, "Zaphod7Qbeeble") == {"moved/a.json", "tables/apples/a.json"}


def test_a_folder_that_cannot_be_read_is_an_error_that_names_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home.path / "closed"
    folder.mkdir(parents=True)

    def refuse(path: Path) -> Iterator[Path]:
        if path == folder:
            raise PermissionError(13, "Permission denied")
        return listed(path)

    listed = Path.iterdir
    # The user of the tests may read everything.
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(StorageError, match="closed: it cannot be read") as raised:
        [*find_values(home, ["Zaphod7Qbeeble"])]
    assert "so it cannot be searched" in str(raised.value)


def test_files_to_skip_are_not_searched(home: Home) -> None:
    home.path.mkdir()
    for name in ("a.json", "b.json"):
        (home.path / name).write_text('"Zaphod7Qbeeble"')
    [found] = find_values(home, ["Zaphod7Qbeeble"], skip=[home.path / "a.json"])
    assert found.path == "b.json"


@pytest.mark.parametrize(
    ("content", "is_found"),
    [
        ('{"rows": 42004242, "of": [42004242]}', False),
        ('{"rows": 42004242, "values": [42004242.0]}', True),
        ('{"rows": 0, "value": "42004242"}', True),
        ('{"42004242": 0}', True),
        ('{"rows": 42004242', True),
        ("[" * 100_000 + "42004242", True),
        ('{"a": 42004242}\n{"stats": "{\\"numRecords\\":42004242}"}\n', False),
        ('{"a": 1}\n{"stats": "{\\"minValues\\":{\\"a\\":42004242}}"}\n', True),
    ],
)
def test_whole_numbers_of_json_that_counts_are_no_values(
    content: str, is_found: bool, home: Home
) -> None:
    for name in ("records/p/a.json", "records.json"):
        (home.path / name).parent.mkdir(parents=True, exist_ok=True)
        (home.path / name).write_text(content)
    found = {one.path for one in find_values(home, [42_004_242], counting=[home.records])}
    assert found == {"records.json"} | ({"records/p/a.json"} if is_found else set())


def _archive(before: bytes, after: bytes) -> bytes:
    """Return an archive of one text, in which some bytes are others."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("\xe9.txt", "text")
    assert before in packed.getvalue()
    return packed.getvalue().replace(before, after)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", b"PAR1 no table PAR1"),
        ("a.db", b"SQLite format 3\0 no"),
        ("a.zip", b"PK\x03\x04"),
        ("a.gz", gzip.compress(bytes(range(256)))[:100]),
        ("a.gz", gzip.compress(b"text")[:-8] + bytes(8)),
        ("a.zip", _archive(b"\xc3\xa9.txt", b"\xff\xff.txt")),
        ("a.zip", _archive(b"text", b"test")),
        # A password is needed.
        ("a.zip", _archive(b"\x00\x08\x00\x00", b"\x01\x08\x00\x00")),
        ("a.png", _picture((b"zTXt", b"x\0\0 no zlib"))),
    ],
    ids=["table", "database", "begun", "cut", "sum", "name", "content", "encrypted", "picture"],
)
def test_a_damaged_file_is_an_error_that_names_it(name: str, content: bytes, home: Home) -> None:
    home.path.mkdir()
    (home.path / name).write_bytes(content)
    with pytest.raises(StorageError, match="cannot be searched") as raised:
        [*find_values(home, ["Zaphod7Qbeeble"])]
    assert str(home.path / name) in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        b"\x1f\x8b" + bytes(30),
        b"\x1f\x8b\x08\x00" + bytes(28),
        b"\x1f\x8b\x08\x20" + bytes(60),
        b"PK\x03\x04" + bytes(28),
        b"\x28\xb5\x2f\xfd" + bytes(28),
    ],
    ids=["two bytes", "header", "reserved flag", "zip", "zstd"],
)
def test_a_key_that_begins_as_a_packed_file_is_searched_byte_by_byte(
    content: bytes, home: Home
) -> None:
    home.path.mkdir()
    (home.path / "2026-03.key").write_bytes(content)
    assert not [*find_values(home, ["Zaphod7Qbeeble"])]
    (home.path / "2026-03.key").write_bytes(content[:18] + b"Zaphod7Qbeeble" + content[32:])
    assert [one.where for one in find_values(home, ["Zaphod7Qbeeble"])] == ["bytes"]


def test_a_packed_file_that_is_as_long_as_a_key_is_unpacked(home: Home) -> None:
    home.path.mkdir()
    content = gzip.compress(b"Zaphod7Qbeeb")
    assert len(content) == 32
    (home.path / "a.gz").write_bytes(content)
    assert [one.where for one in find_values(home, ["Zaphod7Qbeeb"])] == ["packed: unpacked"]


def test_a_file_that_vanishes_is_left_out(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.path.mkdir()

    def paths(home: Home) -> Iterator[Path]:
        yield home.path / "gone.json"

    monkeypatch.setattr(search, "home_paths", paths)
    assert not [*find_values(home, ["Zaphod7Qbeeble"])]


def test_what_is_too_short_is_refused_without_quoting_it(home: Home) -> None:
    home.path.mkdir()
    with pytest.raises(ValueError, match="too short") as raised:
        [*find_values(home, ["Zaphod7Qbeeble", "Zaph"])]
    assert "Zaph" not in str(raised.value)
