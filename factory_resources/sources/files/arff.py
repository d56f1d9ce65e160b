"""Convert files in Attribute-Relation File Format (ARFF) to Parquet, with the declared attributes.

The first pass stores the text of every cell, the second converts it to the type of its attribute.
Reading the header belongs in `arff_header`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from factory_resources.home.home import storage_errors
from factory_resources.sources.files.arff_header import (
    Attribute,
    is_content,
    read_header,
    refuse,
    split_cells,
)
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.text_errors import not_text, text_errors
from factory_resources.sql.engine import ZONED, file_literal, literal

if TYPE_CHECKING:
    import duckdb


_CHUNK = 50_000
"""Rows that are converted at once."""


def arff_to_parquet(
    connection: "duckdb.DuckDBPyConnection", path: Path, name: str, rules: TextRules, target: Path
) -> dict[str, tuple[str, str]]:
    """Store the rows in columns `c0, c1, ...`, each of the type of its attribute.

    Returns:
        Each attribute to its (column, type) in the target.

    Raises:
        SourceError: the file is not dense ARFF, or a value does not fit its attribute.
    """
    texts = target.with_name("arff.parquet")
    with _lines(path, name, rules.encoding) as lines:
        attributes = read_header(lines, name)
        _store_texts(_rows(lines, attributes, name), len(attributes), texts)
    with text_errors(name, rules.encoding):
        types = [_type(connection, texts, i, one, name) for i, one in enumerate(attributes)]
        cells = ", ".join(
            f"{_typed(one, f'c{i}', kind)} AS c{i}"
            for i, (one, kind) in enumerate(zip(attributes, types, strict=True))
        )
        connection.execute(
            f"COPY (SELECT {cells} FROM read_parquet({file_literal(texts)})) "
            f"TO {literal(str(target))} (FORMAT parquet)"
        )
    return {
        one.name: (f"c{i}", kind)
        for i, (one, kind) in enumerate(zip(attributes, types, strict=True))
    }


def data_lines(lines: Iterable[str]) -> Iterator[int]:
    """Yield the number of each line that is a record, from 1."""
    numbered = enumerate(lines, 1)
    for _, line in numbered:
        if line.strip().lower().startswith("@data"):
            break
    return (number for number, line in numbered if is_content(line))


@contextmanager
def _lines(path: Path, name: str, encoding: str) -> Iterator[Iterator[tuple[int, str]]]:
    """Open the file and yield its lines with their numbers.

    Raises:
        SourceError: a line does not have the encoding.
    """
    try:
        with path.open(encoding=encoding.replace("utf-8", "utf-8-sig")) as file:
            yield enumerate(file, 1)
    except UnicodeDecodeError as error:
        raise not_text(f"{name}:{_first_undecodable(path, encoding)}", encoding) from error


def _first_undecodable(path: Path, encoding: str) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                return number
    return 1


def _rows(
    lines: Iterable[tuple[int, str]], attributes: Sequence[Attribute], name: str
) -> Iterator[tuple[int, list[str | None]]]:
    """Yield each record with the number of its line."""
    nominal = [(i, one) for i, one in enumerate(attributes) if one.values is not None]
    for number, line in lines:
        if not is_content(line):
            continue
        where = f"{name}:{number}"
        text = line.strip()
        if text.startswith("{"):
            refuse("is sparse ARFF", where, "write every value of a row, which is dense ARFF")
        cells = split_cells(text, where)
        if len(cells) != len(attributes):
            refuse(
                f"has {len(cells)} values in this row, but {len(attributes)} attributes",
                where,
                "correct the row, and quote values that contain a comma",
            )
        for i, attribute in nominal:
            value = cells[i]
            if value is not None and value not in (attribute.values or ()):
                refuse(
                    f"{value[:40]!r} is not a value of attribute {attribute.name!r}",
                    where,
                    "correct it, or add it to the attribute",
                    quotes=True,
                )
        yield number, cells


def _store_texts(rows: Iterator[tuple[int, list[str | None]]], width: int, target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [("line", pa.int64()), *((f"c{i}", pa.string()) for i in range(width))]
    schema = pa.schema(fields)
    with storage_errors(target), pq.ParquetWriter(target, schema) as writer:
        while chunk := [*islice(rows, _CHUNK)]:
            numbers = [number for number, _ in chunk]
            columns = zip(*(cells for _, cells in chunk), strict=True)
            writer.write_table(pa.table([numbers, *columns], schema=schema))


def _type(
    connection: "duckdb.DuckDBPyConnection", texts: Path, i: int, attribute: Attribute, name: str
) -> str:
    """Return the SQL type that holds every value of an attribute without loss."""
    if attribute.kind == "text":
        return "VARCHAR"
    cell, table = f"c{i}", f"read_parquet({file_literal(texts)})"
    if attribute.kind == "date":
        time = _typed(attribute, cell, "TIMESTAMP")
        _require_values(connection, table, cell, time, attribute, name)
        if "%z" in attribute.date_format:
            # A zone that a contract declares does not move it.
            return ZONED
        timed = any(part in attribute.date_format for part in ("%H", "%I", "%M", "%S"))
        return "TIMESTAMP" if timed else "DATE"
    number = f"CASE WHEN NOT contains({cell}, '_') THEN TRY_CAST({cell} AS DOUBLE) END"
    _require_values(connection, table, cell, number, attribute, name)
    whole = f"regexp_full_match({cell}, '[+-]?[0-9]+')"
    exact = f"coalesce(TRY_CAST({number} AS HUGEINT) = TRY_CAST({cell} AS HUGEINT), false)"
    found = connection.execute(
        f"SELECT bool_and({whole} AND TRY_CAST({cell} AS BIGINT) IS NOT NULL), "
        f"bool_and(NOT {whole} OR length({cell}) <= 15 OR {exact}) FROM {table} "
        f"WHERE {cell} IS NOT NULL"
    ).fetchone()
    fits_integer, fits_double = found or (None, None)
    # The digits of a longer number, such as an identifier, would be rounded away.
    return "BIGINT" if fits_integer else "VARCHAR" if fits_double is False else "DOUBLE"


def _typed(attribute: Attribute, cell: str, kind: str) -> str:
    if attribute.kind == "date":
        return f"CAST(try_strptime({cell}, {literal(attribute.date_format)}) AS {kind})"
    return cell if kind == "VARCHAR" else f"CAST({cell} AS {kind})"


def _require_values(
    connection: "duckdb.DuckDBPyConnection",
    table: str,
    cell: str,
    value: str,
    attribute: Attribute,
    name: str,
) -> None:
    row = connection.execute(
        f"SELECT line, {cell} FROM {table} WHERE {cell} IS NOT NULL AND ({value}) IS NULL LIMIT 1"
    ).fetchone()
    if row:
        refuse(
            f"{str(row[1])[:40]!r} is not a {attribute.kind}, which attribute "
            f"{attribute.name!r} is",
            f"{name}:{row[0]}",
            "correct it, or write ? for a missing value",
            quotes=True,
        )
