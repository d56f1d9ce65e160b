"""Write the rows that a database query returns to one sorted Parquet file."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_resources.errors import QuotedData, SourceError
from factory_resources.file_digest import file_sha256
from factory_resources.home.home import storage_errors
from factory_resources.sources.files.reader import SourceTable
from factory_resources.sql.engine import engine_errors, file_literal, identifier, literal, sealed
from factory_resources.sql.expressions import suggestion

if TYPE_CHECKING:
    import pyarrow


Convert = Callable[[Any], Any]

_EXACT_DIGITS = 15
"""A double holds every whole number of so many digits."""

_SHOWN_DIGITS = 40
"""Digits of a number that a message shows."""

_DAYS, _MICROSECONDS = 10_957, 946_684_800_000_000
"""From 1970, where Arrow begins to count, to 2000, where PostgreSQL does."""

_INFINITIES = {
    "date32[day]": {_DAYS - (1 << 31): -(1 << 31) + 1, _DAYS - (1 << 31) - 1: (1 << 31) - 1},
    "timestamp[us]": {
        _MICROSECONDS - (1 << 63): -(1 << 63) + 1,
        _MICROSECONDS - (1 << 63) - 1: (1 << 63) - 1,
    },
}
"""What the driver makes of -infinity and infinity, which are the lowest and the highest number of
PostgreSQL, to what the engine takes for them. The sum that the driver computes overflows."""


def write_sorted(
    reader: "pyarrow.RecordBatchReader", name: str, key: Sequence[str], scratch: Path
) -> SourceTable:
    """Write the rows batch by batch, sort them by `key` and then by all columns, and digest them.

    Raises:
        SourceError: a repeated name, a key that is not a column, or a type that cannot be stored.
        StorageError: the file cannot be written.
    """
    names = list(reader.schema.names)
    _require_names(names, key, name)
    unsorted, target = scratch / "answer.parquet", scratch / "sorted.parquet"
    _write_unsorted(reader, unsorted, name)
    first = [names.index(column) for column in key]
    order = [*first, *(i for i in range(len(names)) if i not in first)]
    with (
        sealed(read=[], write=scratch) as connection,
        engine_errors(name, SourceError, "correct the query"),
    ):
        source = f"read_parquet({file_literal(unsorted)}, hive_partitioning=false)"
        kinds = [kind for _, kind, *_ in connection.execute(f"DESCRIBE FROM {source}").fetchall()]
        by = ", ".join(term for i in order for term in _sort_terms(i, kinds[i]))
        copied = connection.execute(
            f"COPY (SELECT * FROM {source} ORDER BY {by}) TO {literal(str(target))} "
            "(FORMAT parquet, COMPRESSION zstd)"
        ).fetchone()
    unsorted.unlink()
    digest = file_sha256(target)
    columns = {column: (f"c{i}", kinds[i]) for i, column in enumerate(names)}
    return SourceTable(target, name, digest, {}, copied[0] if copied else 0, columns, None)


def _sort_terms(i: int, kind: str) -> list[str]:
    cell = identifier(f"c{i}")
    # 0.0 and -0.0 are equal but have different bytes.
    return [cell, f"signbit({cell})"] if kind in {"FLOAT", "DOUBLE"} else [cell]


def _require_names(names: Sequence[str], key: Sequence[str], where: str) -> None:
    if not names:
        raise SourceError("has no columns", where=where, remedy="select some")
    for column in names:
        if names.count(column) > 1:
            raise SourceError(
                f"has two columns named {column!r}",
                where=where,
                remedy="give each its own name in source.query, as in SELECT a.id AS a_id",
            )
    for column in key:
        if column not in names:
            raise SourceError(
                f"source.key: there is no column {column!r}",
                where=where,
                remedy=suggestion(column, names),
            )


def _write_unsorted(reader: "pyarrow.RecordBatchReader", path: Path, name: str) -> None:
    import pyarrow
    import pyarrow.parquet

    types = [storage_type(field, name) for field in reader.schema]
    # Neutral names, since a database may allow names that other systems refuse.
    schema = pyarrow.schema([(f"c{i}", kind) for i, (kind, _) in enumerate(types)])
    with storage_errors(path), pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while (batch := _next_batch(reader)) is not None:
            cells = [
                _convert_cells(convert, column, field, name)
                for (_, convert), column, field in zip(
                    types, batch.columns, reader.schema, strict=True
                )
            ]
            writer.write_batch(pyarrow.RecordBatch.from_arrays(cells, schema=schema))


class ReadError(Exception):
    """The database stopped sending rows; distinct from a fault of the disk."""


def _next_batch(reader: "pyarrow.RecordBatchReader") -> "pyarrow.RecordBatch | None":
    import pyarrow

    try:
        return reader.read_next_batch()
    except StopIteration:
        return None
    except (OSError, pyarrow.ArrowException) as error:
        raise ReadError(str(error)) from None


def _convert_cells(convert: Convert, column: Any, field: "pyarrow.Field", name: str) -> Any:
    import pyarrow

    try:
        cells = convert(column)
        is_text = pyarrow.types.is_string(cells.type)
        if not is_text:
            # A time of 24:00 is one to PostgreSQL alone.
            cells.validate(full=True)
    except pyarrow.ArrowException as error:
        raise SourceError(
            f"column {field.name!r} holds a value that cannot be stored as {_type_name(field)}",
            where=name,
            remedy=f"cast it in source.query: CAST({identifier(field.name)} AS text)",
        ) from error
    try:
        # SQLite checks no text, nor does a PostgreSQL without a declared encoding.
        if is_text:
            cells.validate(full=True)
    except pyarrow.ArrowException as error:
        raise SourceError(
            f"column {field.name!r} holds text that is not UTF-8",
            where=name,
            remedy="correct it in the database, or leave the column out in source.query",
        ) from error
    return cells


def storage_type(field: "pyarrow.Field", name: str) -> "tuple[pyarrow.DataType, Convert]":
    """Return the type in which a column is stored, and the function that converts its values.

    Raises:
        SourceError: the type cannot be stored; the remedy is a cast.
    """
    import pyarrow
    from pyarrow import types

    kind = field.type
    if isinstance(kind, pyarrow.OpaqueType) and kind.type_name == "numeric":
        target = _number_type(field)
        return target, lambda column: _convert_numbers(column.storage, target, field, name)
    if isinstance(kind, pyarrow.JsonType):
        return pyarrow.string(), lambda column: column.storage.cast(pyarrow.string())
    if isinstance(kind, pyarrow.UuidType) or types.is_decimal(kind):
        return kind, lambda column: column
    if types.is_null(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return pyarrow.string(), lambda column: column.cast(pyarrow.string())
    if types.is_date32(kind) or types.is_timestamp(kind):
        return kind, _with_infinities
    plain = (
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_string(kind)
        or types.is_time(kind)
    )
    # The driver returns money as whole cents, without marking it.
    if not plain or _type_name(field) == "money":
        raise SourceError(
            f"column {field.name!r} is of type {_type_name(field)}, which a table cannot store",
            where=name,
            remedy="leave it out or cast it in source.query: "
            + _suggested_cast(_type_name(field)).format(identifier(field.name)),
        )
    return kind, lambda column: column


def _with_infinities(times: "pyarrow.Array") -> "pyarrow.Array":
    """Return times in which the engine finds the infinities that PostgreSQL has."""
    import pyarrow
    from pyarrow import compute

    kind = times.type
    plain = pyarrow.timestamp(kind.unit) if pyarrow.types.is_timestamp(kind) else kind
    numbers = times.view(pyarrow.int32() if plain.bit_width == 32 else pyarrow.int64())
    for found, meant in _INFINITIES.get(str(plain), {}).items():
        is_infinite = compute.equal(numbers, pyarrow.scalar(found, numbers.type))
        numbers = compute.if_else(is_infinite, pyarrow.scalar(meant, numbers.type), numbers)
    return numbers.view(kind)


def _number_type(field: "pyarrow.Field") -> "pyarrow.DataType":
    """Return a decimal if it has room for the declared digits (in PostgreSQL's `typmod`)."""
    import pyarrow

    packed = int((field.metadata or {}).get(b"POSTGRESQL:typmod", b"-1")) - 4
    digits, scale = packed >> 16 & 0xFFFF, packed & 0x7FF
    if packed < 0 or digits > 38 or scale > digits:
        return pyarrow.float64()
    return pyarrow.decimal128(digits, scale)


def _convert_numbers(
    digits: "pyarrow.Array", target: "pyarrow.DataType", field: "pyarrow.Field", name: str
) -> "pyarrow.Array":
    """Return numbers that PostgreSQL gives as text; a whole one must not lose a digit."""
    from pyarrow import compute, types

    numbers = digits.cast(target)
    if types.is_floating(target):
        long = compute.match_substring_regex(digits, f"^-?[0-9]{{{_EXACT_DIGITS + 1},}}$")
        for text in digits.filter(long).to_pylist():
            if Decimal(text) != Decimal(float(text)):
                shown = text if len(text) <= _SHOWN_DIGITS else f"{text[:_SHOWN_DIGITS]}…"
                what = (
                    f"column {field.name!r} holds {shown}, which would be rounded, since its type "
                    "does not say how many digits it has"
                )
                raise SourceError(
                    what,
                    where=name,
                    remedy=f"cast it in source.query: CAST({identifier(field.name)} AS text) for a "
                    "number that names something, AS double precision for a quantity",
                ) from QuotedData(what)
    return numbers


def _type_name(field: "pyarrow.Field") -> str:
    declared = (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
    if declared.startswith("_"):
        return f"{declared[1:]}[]"
    return declared or str(getattr(field.type, "type_name", field.type))


def _suggested_cast(declared: str) -> str:
    if declared.endswith("[]"):
        return "array_to_string({}, ',')"
    if declared == "bytea":
        return "encode({}, 'hex')"
    if declared == "interval":
        return "extract(epoch FROM {})"
    return "CAST({} AS numeric)" if declared == "money" else "CAST({} AS text)"
