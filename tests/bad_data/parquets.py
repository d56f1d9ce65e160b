"""Parquet: types that a table cannot hold, types of other systems, and unusual shapes."""

import struct
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bad_data.case import Case, Refused, Rows

if TYPE_CHECKING:
    import pyarrow

_SOURCE = {"files": "data/d.parquet"}


def _case(
    name: str, make: Callable[[Any], "pyarrow.Table"], expected: Rows | Refused, **options: Any
) -> Case:
    """Return a case; `make` receives pyarrow, which is imported when the case runs."""

    def write(folder: Path) -> None:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(make(pyarrow), folder / "d.parquet", **options)

    return Case(f"parquet: {name}", write, expected, _SOURCE)


def _column(
    name: str, kind: Callable[[Any], Any], values: list[Any], good: list[Any], **options: Any
) -> Case:
    """Return a case of one column `y` of an Arrow type; `good` are its values in the snapshot."""
    return _case(
        name, lambda pa: pa.table({"y": pa.array(values, kind(pa))}), Rows({"y": good}), **options
    )


def _part(
    name: str, kind: Callable[[Any], Any], values: list[Any], good: list[Any], bad: list[str]
) -> Case:
    """Return a case of one column `y`, some values of which are quarantined."""
    rows = Rows({"y": good}, {"type:y": len(bad)}, {"y": bad})
    return _case(name, lambda pa: pa.table({"y": pa.array(values, kind(pa))}), rows)


def _lying(folder: Path) -> None:
    """Write a file whose statistics say 1970 and whose data has a time of the year 38504."""
    import pyarrow
    import pyarrow.parquet

    path = folder / "d.parquet"
    table = pyarrow.table({"y": pyarrow.array([1, 2, 5, 7], pyarrow.timestamp("us"))})
    pyarrow.parquet.write_table(table, path, compression="none", use_dictionary=False)
    content, (true, false) = path.read_bytes(), (struct.pack("<q", n) for n in (5, 2**60))
    assert content.count(true) == 1
    path.write_bytes(content.replace(true, false))


def _schemaless(pa: Any) -> Any:
    return pa.table({})


_NOON = datetime(2024, 1, 2, 12)
_NANO = 1_704_196_800_000_000_000

CASES: list[Case] = [
    Case(
        "parquet: statistics that hide what breaks the contract",
        _lying,
        Rows(
            {"y": [datetime(1970, 1, 1, microsecond=n) for n in (1, 2, 7)]},
            {"type:y": 1},
            {"y": ["38504-08-17 21:30:06.846976"]},
        ),
        _SOURCE,
    ),
    _case("no columns", _schemaless, Refused("d.parquet")),
    _case("no rows", lambda pa: pa.table({"y": pa.array([], pa.int64())}), Refused("has no rows")),
    _case(
        "a column of nulls only",
        lambda pa: pa.table({"y": pa.nulls(3), "n": [1, 2, 3]}),
        Rows({"y": [None] * 3, "n": [1, 2, 3]}),
    ),
    _column("typed nulls", lambda pa: pa.int64(), [None, None], [None, None]),
    _column("small integers", lambda pa: pa.int8(), [-128, 127], [-128, 127]),
    _column("uint64 that fits", lambda pa: pa.uint64(), [0, 2**63 - 1], [0, 2**63 - 1]),
    _column(
        "uint64 that does not fit is text",
        lambda pa: pa.uint64(),
        [1, 2**63],
        ["1", str(2**63)],
    ),
    _column("float16", lambda pa: pa.float16(), [1.5, None], [1.5, None]),
    _column("float32", lambda pa: pa.float32(), [0.5, -2.0], [0.5, -2.0]),
    _part("not a number", lambda pa: pa.float64(), [1.5, float("nan")], [1.5], ["nan"]),
    _part("infinity", lambda pa: pa.float64(), [1.5, float("-inf")], [1.5], ["-inf"]),
    _column("decimals", lambda pa: pa.decimal128(9, 2), [Decimal("1.25")], [1.25]),
    _column(
        "whole decimals",
        lambda pa: pa.decimal128(38, 0),
        [Decimal(9007199254740993)],
        [9007199254740993],
    ),
    _column(
        "whole decimals that do not fit are text",
        lambda pa: pa.decimal128(38, 0),
        [Decimal(1), Decimal(10**30)],
        ["1", str(10**30)],
    ),
    _column(
        "decimals of many digits are the nearest doubles",
        lambda pa: pa.decimal128(38, 20),
        [Decimal("0.12345678901234567890")],
        [0.12345678901234568],
    ),
    _column("decimals of 50 digits", lambda pa: pa.decimal256(50, 2), [Decimal("1.25")], [1.25]),
    _column("text", lambda pa: pa.string(), ["a", "", " b "], ["a", None, "b"]),
    _column("text with a NUL", lambda pa: pa.string(), ["a\0b", "c"], ["a\0b", "c"]),
    _column("large text", lambda pa: pa.large_string(), ["a", None], ["a", None]),
    _column(
        "a dictionary",
        lambda pa: pa.dictionary(pa.int8(), pa.string()),
        ["a", "b", "a"],
        ["a", "b", "a"],
    ),
    _column("bytes are text", lambda pa: pa.binary(), ["ü".encode(), None], ["ü", None]),
    _part("bytes that are no text", lambda pa: pa.binary(), [b"a", b"a\xff"], ["a"], ["a\\xFF"]),
    _column("bytes of one width", lambda pa: pa.binary(2), [b"ab"], ["ab"]),
    _column("truth values", lambda pa: pa.bool_(), [True, None, False], [True, None, False]),
    _column("dates", lambda pa: pa.date32(), [date(2024, 1, 2)], [date(2024, 1, 2)]),
    _column(
        "the first date, which other systems write for a missing one",
        lambda pa: pa.date32(),
        [date(1, 1, 1)],
        [date(1, 1, 1)],
    ),
    _part(
        "dates before the first year",
        lambda pa: pa.date32(),
        [0, -800_000],
        [date(1970, 1, 1)],
        ["0222-09-04 (BC)"],
    ),
    _part(
        "dates after year 9999",
        lambda pa: pa.date32(),
        [0, 3_000_000],
        [date(1970, 1, 1)],
        ["10183-09-21"],
    ),
    _part(
        "times after year 9999",
        lambda pa: pa.timestamp("us"),
        [0, 2**60],
        [datetime(1970, 1, 1)],
        ["38504-08-17 21:30:06.846976"],
    ),
    _column("times of milliseconds", lambda pa: pa.timestamp("ms"), [_NOON], [_NOON]),
    _column(
        "times with a zone become UTC",
        lambda pa: pa.timestamp("us", "Europe/Berlin"),
        [_NOON.replace(tzinfo=UTC)],
        [_NOON],
    ),
    _column(
        "times of whole microseconds in nanoseconds",
        lambda pa: pa.timestamp("ns"),
        [_NANO + 1000],
        [_NOON.replace(microsecond=1)],
    ),
    _part(
        "times of nanoseconds, which a table cannot hold",
        lambda pa: pa.timestamp("ns"),
        [_NANO, _NANO + 1],
        [_NOON],
        ["2024-01-02 12:00:00.000000001"],
    ),
    _column(
        "times of 96 bits",
        lambda pa: pa.timestamp("ns"),
        [_NANO, None],
        [_NOON, None],
        use_deprecated_int96_timestamps=True,
    ),
    _column("times of day", lambda pa: pa.time64("us"), [3_600_000_000], ["01:00:00"]),
    _case(
        "durations",
        lambda pa: pa.table({"y": pa.array([5], pa.duration("us"))}),
        Refused("column 'y' holds durations"),
    ),
    _column("lists", lambda pa: pa.list_(pa.int64()), [[1, 2], [], None], ["[1, 2]", "[]", None]),
    _column(
        "structs", lambda pa: pa.struct([("a", pa.int64())]), [{"a": 1}, None], ["{'a': 1}", None]
    ),
    _column("maps", lambda pa: pa.map_(pa.string(), pa.int64()), [[("k", 1)]], ["{k=1}"]),
    _case(
        "a struct beside numbers",
        lambda pa: pa.table({"s": [{"a": [1, {"b": 2}][0]}], "y": [1]}),
        Rows({"s": ["{'a': 1}"], "y": [1]}),
    ),
    _case(
        "two columns of one name",
        lambda pa: pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["y", "y"]),
        Refused("d.parquet", "has 2 columns named 'y'"),
    ),
    _case(
        "columns that differ in case",
        lambda pa: pa.table({"y": [1], "Y": [2]}),
        Refused("d.parquet", "'y' and 'Y'", "only in case"),
    ),
    _case(
        "a column without a name",
        lambda pa: pa.table({"": [1], "y": [2]}),
        Refused("has a column without a name"),
    ),
    _case(
        "a name that the engine uses itself",
        lambda pa: pa.table({"file_row_number": [1], "y": [2]}),
        Refused("file_row_number"),
    ),
    _case(
        "a reserved name",
        lambda pa: pa.table({"_file": [1], "y": [2]}),
        Refused("is reserved"),
    ),
    _case(
        "a hostile name",
        lambda pa: pa.table({'a"; DROP --': [1], "y": [2]}),
        Rows({'a"; DROP --': [1], "y": [2]}),
    ),
    _case(
        "a name with a dot",
        lambda pa: pa.table({"a.b": [1], "y": [2]}),
        Rows({"a.b": [1], "y": [2]}),
    ),
    _case(
        "many row groups",
        lambda pa: pa.table({"y": [*range(100)]}),
        Rows({"y": [*range(100)]}),
        row_group_size=1,
    ),
    _case("brotli", lambda pa: pa.table({"y": [1, 2]}), Rows({"y": [1, 2]}), compression="brotli"),
    _case("lz4", lambda pa: pa.table({"y": [1, 2]}), Rows({"y": [1, 2]}), compression="lz4"),
    _case(
        "the first version", lambda pa: pa.table({"y": [1, 2]}), Rows({"y": [1, 2]}), version="1.0"
    ),
    _case(
        "second data pages, delta encoded",
        lambda pa: pa.table({"y": [1, 5, 2]}),
        Rows({"y": [1, 5, 2]}),
        data_page_version="2.0",
        use_dictionary=False,
        column_encoding={"y": "DELTA_BINARY_PACKED"},
    ),
]
