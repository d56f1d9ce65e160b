"""What a database answers, as one sorted Parquet file. Knows no database."""

from collections.abc import Callable, Sequence
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_resources.errors import SourceError
from factory_resources.home.home import storage_errors
from factory_resources.sources.files.reader import SourceTable
from factory_resources.sql.engine import engine_errors, identifier, literal, sealed
from factory_resources.sql.expressions import suggestion

if TYPE_CHECKING:
    import pyarrow


Convert = Callable[[Any], Any]


def store(
    reader: "pyarrow.RecordBatchReader", name: str, key: Sequence[str], scratch: Path
) -> SourceTable:
    """Write the rows batch by batch, sort them by `key` and then by all columns, and digest them.

    Raises:
        SourceError: a repeated name, a key that is no column, or a type that no table holds.
        StorageError: the disk says no.
    """
    names = list(reader.schema.names)
    _require_names(names, key, name)
    unsorted, target = scratch / "answer.parquet", scratch / "sorted.parquet"
    _write(reader, unsorted, name)
    first = [names.index(column) for column in key]
    order = [*first, *(i for i in range(len(names)) if i not in first)]
    with (
        sealed(read=[], write=scratch) as connection,
        engine_errors(name, SourceError, "correct the query"),
    ):
        source = f"read_parquet({literal(str(unsorted))}, hive_partitioning=false)"
        kinds = [kind for _, kind, *_ in connection.execute(f"DESCRIBE FROM {source}").fetchall()]
        by = ", ".join(term for i in order for term in _terms(i, kinds[i]))
        copied = connection.execute(
            f"COPY (SELECT * FROM {source} ORDER BY {by}) TO {literal(str(target))} "
            "(FORMAT parquet, COMPRESSION zstd)"
        ).fetchone()
    unsorted.unlink()
    with target.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    columns = {column: (f"c{i}", kinds[i]) for i, column in enumerate(names)}
    return SourceTable(target, name, digest, {}, copied[0] if copied else 0, columns, None)


def _terms(i: int, kind: str) -> list[str]:
    cell = identifier(f"c{i}")
    # 0.0 and -0.0 are equal and have other bytes.
    return [cell, f"signbit({cell})"] if kind in {"FLOAT", "DOUBLE"} else [cell]


def _require_names(names: Sequence[str], key: Sequence[str], where: str) -> None:
    if not names:
        raise SourceError("has no columns", where=where, remedy="select some")
    for column in names:
        if names.count(column) > 1:
            raise SourceError(
                f"has two columns named {column!r}",
                where=where,
                remedy="name each apart in source.query, as in SELECT a.id AS a_id",
            )
    for column in key:
        if column not in names:
            raise SourceError(
                f"source.key: there is no column {column!r}",
                where=where,
                remedy=suggestion(column, names),
            )


def _write(reader: "pyarrow.RecordBatchReader", path: Path, name: str) -> None:
    import pyarrow
    import pyarrow.parquet

    made = [stored(field, name) for field in reader.schema]
    # Names of ours: a database allows what no other system does.
    schema = pyarrow.schema([(f"c{i}", kind) for i, (kind, _) in enumerate(made)])
    with storage_errors(path), pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while (batch := _next(reader)) is not None:
            cells = [
                _converted(convert, column, field, name)
                for (_, convert), column, field in zip(
                    made, batch.columns, reader.schema, strict=True
                )
            ]
            writer.write_batch(pyarrow.RecordBatch.from_arrays(cells, schema=schema))


class ReadError(Exception):
    """The database broke off; apart from what the disk says."""


def _next(reader: "pyarrow.RecordBatchReader") -> "pyarrow.RecordBatch | None":
    import pyarrow

    try:
        return reader.read_next_batch()
    except StopIteration:
        return None
    except (OSError, pyarrow.ArrowException) as error:
        raise ReadError(str(error)) from None


def _converted(convert: Convert, column: Any, field: "pyarrow.Field", name: str) -> Any:
    import pyarrow

    try:
        return convert(column)
    except pyarrow.ArrowException as error:
        raise SourceError(
            f"column {field.name!r} holds a value that is no {_kind(field)}",
            where=name,
            remedy=f"cast it in source.query: CAST({identifier(field.name)} AS text)",
        ) from error


def stored(field: "pyarrow.Field", name: str) -> "tuple[pyarrow.DataType, Convert]":
    """The type in which a column is kept, and how its values get there.

    Raises:
        SourceError: a type that no table holds, with the cast that helps.
    """
    import pyarrow
    from pyarrow import types

    kind = field.type
    if isinstance(kind, pyarrow.OpaqueType) and kind.type_name == "numeric":
        target = _number(field)
        return target, lambda column: column.storage.cast(target)
    if isinstance(kind, pyarrow.JsonType):
        return pyarrow.string(), lambda column: column.storage.cast(pyarrow.string())
    if isinstance(kind, pyarrow.UuidType) or types.is_decimal(kind):
        return kind, lambda column: column
    if types.is_null(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return pyarrow.string(), lambda column: column.cast(pyarrow.string())
    plain = (
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_string(kind)
        or types.is_date(kind)
        or types.is_time(kind)
        or types.is_timestamp(kind)
    )
    # Sums of money come as whole cents without a word about it.
    if not plain or _kind(field) == "money":
        raise SourceError(
            f"column {field.name!r} is of type {_kind(field)}, which no table holds",
            where=name,
            remedy="leave it out or cast it in source.query: "
            + _cast(_kind(field), kind).format(identifier(field.name)),
        )
    return kind, lambda column: column


def _number(field: "pyarrow.Field") -> "pyarrow.DataType":
    """Exact where the declared digits fit a decimal; PostgreSQL keeps them in `typmod`."""
    import pyarrow

    packed = int((field.metadata or {}).get(b"POSTGRESQL:typmod", b"-1")) - 4
    digits, scale = packed >> 16 & 0xFFFF, packed & 0x7FF
    if packed < 0 or digits > 38 or scale > digits:
        return pyarrow.float64()
    return pyarrow.decimal128(digits, scale)


def _kind(field: "pyarrow.Field") -> str:
    declared = (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
    if declared.startswith("_"):
        return f"{declared[1:]}[]"
    return declared or str(getattr(field.type, "type_name", field.type))


def _cast(declared: str, kind: "pyarrow.DataType") -> str:
    if declared.endswith("[]"):
        return "array_to_string({}, ',')"
    if declared == "bytea":
        return "encode({}, 'hex')"
    if declared == "interval":
        return "extract(epoch FROM {})"
    return "CAST({} AS numeric)" if declared == "money" else "CAST({} AS text)"
