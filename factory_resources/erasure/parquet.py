"""Values in Parquet files: in columns of any type, in their statistics, and beside them.

A file is read in batches, so that a table of any size needs the memory of one.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from factory_resources.erasure.matcher import Matcher
from factory_resources.erasure.search_terms import SearchTerms
from factory_resources.errors import StorageError

MAGIC = b"PAR1"

_TABLE_NAME = re.compile(r"[^-]+(-[0-9]+)?\.parquet")

_ROWS = 1 << 16
"""Rows of a batch."""

_FEW = 4
"""Bytes of a cell, if a column of text stores each value once."""


def parquet_places(path: Path, terms: SearchTerms) -> "Counter[str]":
    """Count in how many cells, statistics and notes of a file there is a value, by column.

    Raises:
        StorageError: it cannot be read.
    """
    import pyarrow
    import pyarrow.parquet as pq

    found: Counter[str] = Counter()
    try:
        with pq.ParquetFile(path) as opened:
            repeated = _repeated(opened.metadata)
        with pq.ParquetFile(path, read_dictionary=repeated) as file:
            for place in _notes(file, terms.in_tables):
                found[place] += 1
            for place in _statistics(file, terms):
                found[place] += 1
            for batch in file.iter_batches(batch_size=_ROWS):
                for name, column in zip(batch.schema.names, batch.columns, strict=True):
                    if count := _count(column, terms):
                        found[f"column {name}"] += count
    except (pyarrow.ArrowException, OSError) as error:
        raise unreadable_table(path) from error
    return found


def is_table_name(name: str) -> bool:
    """Whether the factory names a file of a table so, or a copy of one.

    Programs that write to the table themselves name theirs otherwise.
    """
    return _TABLE_NAME.fullmatch(name) is not None


def unreadable_table(path: Path) -> StorageError:
    """Return the error of a file of a table that is damaged."""
    return StorageError(
        "the table file cannot be read, so it cannot be searched",
        where=str(path),
        remedy="restore it from a backup; `factory verify` shows what else is damaged",
    )


def _repeated(metadata: Any) -> list[str]:
    """Return the columns of text that have few different values; each value is read once."""
    sizes: Counter[str] = Counter()
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            if column.physical_type == "BYTE_ARRAY":
                sizes[column.path_in_schema] += column.total_uncompressed_size
    return [name for name, size in sizes.items() if size < _FEW * metadata.num_rows]


def _notes(file: Any, matcher: Matcher) -> Iterator[str]:
    """Yield the place of each value in what was noted in the file beside its columns."""
    for key, note in (file.metadata.metadata or {}).items():
        for _ in matcher.find(key + b"\n" + note):
            yield "notes"


def _statistics(file: Any, terms: SearchTerms) -> Iterator[str]:
    for group in range(file.metadata.num_row_groups):
        for number in range(file.metadata.num_columns):
            column = file.metadata.row_group(group).column(number)
            statistics = column.statistics if column.is_stats_set else None
            if statistics is None or not statistics.has_min_max:
                continue
            for bound in (statistics.min, statistics.max):
                if _has_term(bound, terms):
                    yield f"statistics of {column.path_in_schema}"


def _has_term(bound: Any, terms: SearchTerms) -> bool:
    if isinstance(bound, str | bytes):
        content = bound.encode() if isinstance(bound, str) else bound
        return any(True for _ in terms.in_tables.find(content))
    if isinstance(bound, datetime):
        return _moment(bound) in {_moment(one) for one in terms.moments}
    if isinstance(bound, int | float):
        return not isinstance(bound, bool) and bound in terms.numbers
    return bound in terms.days


def _moment(value: datetime) -> datetime:
    """Return a moment in UTC; without a time zone it is in UTC already."""
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _count(column: Any, terms: SearchTerms) -> int:
    """Return how many cells of a column have a value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _count_coded(column, terms)
    if pa.types.is_struct(kind):
        return sum(_count(part, terms) for part in column.flatten())
    if pa.types.is_map(kind):
        return _count(column.keys, terms) + _count(column.items, terms)
    if pa.types.is_nested(kind):
        return _count(column.flatten(), terms)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _text_cells(column.cast(pa.large_binary()), terms.in_tables, in_text=True)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _text_cells(column.cast(pa.large_binary()), terms.in_tables, in_text=False)
    values = _typed(kind, terms)
    return pc.sum(pc.is_in(column, value_set=values)).as_py() or 0 if len(values) else 0


def _count_coded(column: Any, terms: SearchTerms) -> int:
    """Return how many cells have a value, of a column that has each of its values once."""
    import pyarrow.compute as pc

    # Most batches have none of the values that are looked for.
    if not _count(column.dictionary, terms):
        return 0
    found = [
        n for n in range(len(column.dictionary)) if _count(column.dictionary[n : n + 1], terms)
    ]
    cells = pc.is_in(column.indices, value_set=_array(found, column.indices.type))
    return pc.sum(cells).as_py() or 0


def _typed(kind: Any, terms: SearchTerms) -> Any:
    """Return the values that a column of numbers, dates or moments can have."""
    import pyarrow as pa

    of_type: Iterable[Any] = ()
    if pa.types.is_integer(kind):
        bits = kind.bit_width - (0 if pa.types.is_unsigned_integer(kind) else 1)
        low = 0 if pa.types.is_unsigned_integer(kind) else -(2**bits)
        of_type = [int(one) for one in terms.numbers if one == int(one) and low <= one < 2**bits]
    elif pa.types.is_floating(kind):
        numbers = _array(map(float, terms.numbers), pa.float64())
        return numbers.cast(kind, safe=False)
    elif pa.types.is_decimal(kind):
        of_type = _decimals(kind, terms)
    elif pa.types.is_date(kind):
        of_type = terms.days
    elif pa.types.is_timestamp(kind):
        zoned = [_moment(one) for one in terms.moments]
        of_type = zoned if kind.tz else [one.replace(tzinfo=None) for one in zoned]
        return _array(of_type, pa.timestamp("us", kind.tz)).cast(kind, safe=False)
    return _array(of_type, kind)


def _array(values: Iterable[Any], kind: Any) -> Any:
    """Return an array, without `pyarrow.array`: that imports pandas, which takes .4 s."""
    import pyarrow as pa

    parts = [pa.repeat(pa.scalar(value, kind), 1) for value in values]
    return pa.concat_arrays([pa.nulls(0, kind), *parts])


def _decimals(kind: Any, terms: SearchTerms) -> list[Any]:
    """Return the numbers as a column of decimals would have them."""
    from decimal import Context, Decimal

    unit = Decimal(1).scaleb(-kind.scale)
    # A number with more digits than the column has becomes none, which equals nothing.
    context = Context(prec=kind.precision, traps=[])
    numbers = [Decimal(repr(one)) for one in terms.numbers]
    stored = [(one, one.quantize(unit, context=context)) for one in numbers]
    return [cell for one, cell in stored if cell == one]


def _text_cells(column: Any, matcher: Matcher, *, in_text: bool) -> int:
    """Return how many cells of text or bytes, as large binaries, have a value."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    nothing, separator = (pa.scalar(one, pa.large_binary()) for one in (b"", b"\0"))
    cells = pc.binary_join_element_wise(column.drop_null(), nothing, separator)
    if not len(cells):
        return 0
    _, offsets_buffer, content = cells.buffers()
    ends = np.frombuffer(offsets_buffer, np.int64, len(cells) + 1)[1:] - 1
    found = matcher.find_cells(content.to_pybytes(), ends.tolist(), in_text=in_text)
    return len({*found})
