"""Validate source rows against their contract: which are valid, which are not, and why.

The SQL of single rules belongs in `rules`, that of types in `sql_types`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from factory_assets.data.contract.offsets import OFFSETS_SEEN, in_zone_sql, noting_offsets_sql
from factory_assets.data.contract.rules import Rule, pattern_error, rules_of
from factory_assets.data.contract.sql_types import (
    common_form_sql,
    is_fraction,
    typed_sql,
    value_sql,
)
from factory_assets.data.contract.type_inference import CHUNK, column_types, missing_tokens
from factory_assets.data.privacy.first_lines import suggest_column
from factory_assets.spec import Column, Ingest
from factory_assets.spec.contract import ColumnType
from factory_resources.errors import ContractError
from factory_resources.sources.files.reader import SourceTable, parquet
from factory_resources.sql.bytes_as_text import BYTES, decoded_sql, text_sql
from factory_resources.sql.engine import identifier, literal
from factory_resources.sql.expressions import suggestion
from factory_resources.sql.row_marks import mark, marked

if TYPE_CHECKING:
    import duckdb


_DIGEST = "_source_digest"
"""The type of the digest of a source file, which many rows share."""


@dataclass(frozen=True)
class ContractValidation:
    """The queries over a view of all source rows; `columns` are in the order of the snapshot."""

    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    labels: tuple[str, ...]
    """Columns that hold the same value in every row of a source."""
    ignored: tuple[str, ...]
    """Source columns that the contract does not name."""
    types: tuple[ColumnType, ...]
    """Of the columns."""

    @classmethod
    def of(
        cls, connection: duckdb.DuckDBPyConnection, ingest: Ingest, raws: Sequence[SourceTable]
    ) -> ContractValidation:
        """Create the view `checked` of all source rows, and the queries over it.

        For column i it holds the typed value `v<i>`, the text of the source `x<i>`, and `m<i>`:
        whether there is a value that is not of the type; and for label i `l<i>`.

        Raises:
            ContractError: a column is missing, or a rule does not fit the type of its column.
        """
        _require_patterns(ingest.contract.columns)
        labels = tuple(raws[0].labels)
        columns = ingest.contract.columns or _all_columns(raws)
        _require_columns(columns, raws)
        require_distinct([c.name for c in columns], labels)
        types = column_types(connection, ingest, columns, raws)
        # Writing the digest as text would take a tenth of the time of a large CSV file.
        digests = ", ".join(dict.fromkeys(literal(raw.sha256) for raw in raws))
        connection.execute(f"CREATE TEMP TYPE {_DIGEST} AS ENUM ({digests})")
        starts = accumulate((raw.rows for raw in raws), initial=0)
        union = " UNION ALL ".join(
            _source_query(start, raw, ingest, columns, types)
            for start, raw in zip(starts, raws, strict=False)
        )
        connection.execute(f"CREATE TEMP SEQUENCE {OFFSETS_SEEN}")
        connection.execute(f"CREATE TEMP VIEW checked AS {union}")
        rules = tuple(
            rule
            for i, (column, kind) in enumerate(zip(columns, types, strict=True))
            for rule in rules_of(column, kind, f"v{i}", f"m{i}", is_bytes=_has_bytes(column, raws))
        )
        rules += tuple(
            _join_rule(ingest, columns, k, rule) for k, rule in enumerate(raws[0].partners)
        )
        read = {column.source_name for column in columns}
        ignored = dict.fromkeys(n for raw in raws for n in raw.columns if n not in read)
        validation = cls(columns, rules, labels, tuple(ignored), tuple(types))
        rows = sum(raw.rows for raw in raws)
        keys = [(c.name,) for c in columns if c.unique] + list(ingest.contract.unique)
        for names in dict.fromkeys(keys) if rows else ():
            validation = replace(
                validation, rules=(*validation.rules, _unique(connection, validation, names, rows))
            )
        return validation

    @property
    def any_rule_broken(self) -> str:
        """SQL that is true for a row that breaks at least one rule."""
        # The engine plans a long chain of ORs in quadratic time.
        cases = " ".join(f"WHEN {rule.broken} THEN true" for rule in self.rules)
        return f"CASE {cases} ELSE false END" if cases else "false"

    def cell(self, name: str) -> str:
        """Return SQL for the typed value of a column or label that `unique` names.

        Raises:
            ContractError: there is no such column.
        """
        names = [column.name for column in self.columns]
        if name in names:
            return f"v{names.index(name)}"
        if name not in self.labels:
            remedy = suggestion(name, [*names, *self.labels])
            raise ContractError(f"there is no column {name!r}, which `unique` names", remedy=remedy)
        return f"l{self.labels.index(name)}"

    def _query(self, prefix: str, rows: str, extra: str = "") -> str:
        cells = [f"{prefix}{i} AS {identifier(c.name)}" for i, c in enumerate(self.columns)]
        labels = [f"l{i} AS {identifier(name)}" for i, name in enumerate(self.labels)]
        selected = ", ".join([*cells, *labels, "_file", "_row"])
        return f"SELECT {selected}{extra} FROM {rows}"

    @property
    def valid_rows(self) -> str:
        """The query for the rows that satisfy every rule, typed."""
        return self._query("v", f"checked WHERE NOT ({self.any_rule_broken})")

    def separate_broken(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        """Create the view `broken` of the rows of `checked` that break a rule.

        They are stored in the folder, so that the source is not read again for every question.
        """
        path = folder / "broken_cells.parquet"
        rows = f"SELECT * FROM checked WHERE {self.any_rule_broken}"
        connection.execute(f"COPY ({rows}) TO {literal(str(path))} (FORMAT parquet)")
        connection.execute(f"CREATE TEMP VIEW broken AS FROM {parquet(path)}")

    @property
    def invalid_rows(self) -> str:
        """The query for the rows of `broken`: source values, and the names of the rules."""
        names = ", ".join(f"CASE WHEN {r.broken} THEN {literal(r.name)} END" for r in self.rules)
        return self._query("x", "broken", f", concat_ws(',', {names}) AS _rules")

    def counts(self, connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
        """Return the number of rows of `broken` by rule, without the rules that no row breaks."""
        counts: dict[str, int] = {}
        for start in range(0, len(self.rules), CHUNK):
            chunk = self.rules[start : start + CHUNK]
            sums = ", ".join(f"count(*) FILTER (WHERE {rule.broken})" for rule in chunk)
            row = connection.execute(f"SELECT {sums} FROM broken").fetchone() or ()
            counts |= {rule.name: n for rule, n in zip(chunk, row, strict=True) if n}
        return counts

    def example(self, connection: duckdb.DuckDBPyConnection, name: str) -> str:
        """Return a value of `broken` that broke the rule, worded for a message.

        It is empty if the column is sensitive, or if no single value broke the rule.
        """
        rule = next(rule for rule in self.rules if rule.name == name)
        names = [column.name for column in self.columns]
        if rule.column not in names:
            return ""
        i = names.index(rule.column)
        if self.columns[i].sensitive or name.startswith("null:"):
            return ""
        row = connection.execute(f"SELECT x{i} FROM broken WHERE {rule.broken} LIMIT 1").fetchone()
        return f", such as {str(row[0])[:60]!r}" if row else ""


def _join_rule(ingest: Ingest, columns: Sequence[Column], number: int, rule: str) -> Rule:
    """Return the rule of a required join: the row must have a match in the joined table.

    It is reported for the column that holds the first key of the join.
    """
    on = ingest.joins[rule.removeprefix("join:")].on[0]
    return Rule(rule, next((c.name for c in columns if c.source_name == on), ""), f"NOT q{number}")


def _all_columns(raws: Sequence[SourceTable]) -> tuple[Column, ...]:
    # Without validation: a source may give its columns any names.
    names = dict.fromkeys(name for raw in raws for name in raw.columns)
    return tuple(Column.model_construct(name=name) for name in names)


def _require_patterns(columns: Sequence[Column]) -> None:
    for column in columns:
        if column.pattern and (reason := pattern_error(column.pattern)):
            raise ContractError(
                f"pattern {column.pattern!r} of column {column.name!r} is not a regular expression "
                f"({reason})",
                remedy="use the RE2 syntax, which has no look-around and no back-references",
            )


def _require_columns(columns: Sequence[Column], raws: Sequence[SourceTable]) -> None:
    for raw in raws:
        for column in columns:
            if column.source_name not in raw.columns:
                raise _missing_column(column.source_name, raw, columns)


def _missing_column(name: str, raw: SourceTable, columns: Sequence[Column]) -> ContractError:
    if remedy := raw.withheld.get(name):
        return ContractError(f"column {name!r} is hidden", where=raw.name, remedy=remedy)
    hidden = [column.source_name for column in columns if column.sensitive]
    declared = [column.source_name for column in columns]
    remedy = suggest_column(name, list(raw.columns), declared, hidden)
    if len(raw.columns) == 1 and raw.format == "csv":
        remedy += "; only one column was found: set source.delimiter"
    return ContractError(f"there is no column {name!r}", where=raw.name, remedy=remedy)


def require_distinct(columns: Sequence[str], labels: Sequence[str]) -> None:
    """Check that a table can have these columns, and those of labels beside them.

    Raises:
        ContractError: a name is reserved, or SQL cannot tell two of them apart.
    """
    seen: dict[str, str] = {}
    for name in (*columns, *labels):
        # Unicode can encode one letter in two ways that look the same.
        key = normalize("NFC", name).lower()
        if name.lower() == "file_row_number" or name.startswith("_"):
            raise ContractError(
                f"column name {name!r} is reserved, as are all that begin with an underscore",
                remedy="rename it in the source, or with `from` in a contract",
            )
        if key in seen:
            another = "give the label another name, or " * (name in labels)
            raise ContractError(
                f"columns {seen[key]!r} and {name!r} differ only in case or Unicode form, "
                "or not at all",
                remedy=f"{another}rename one of them with `from` in the contract",
            )
        seen[key] = name


def _has_bytes(column: Column, raws: Sequence[SourceTable]) -> bool:
    return any(raw.columns[column.source_name][1] == BYTES for raw in raws)


def _source_query(
    start: int,
    raw: SourceTable,
    ingest: Ingest,
    columns: Sequence[Column],
    types: Sequence[ColumnType],
) -> str:
    plain, texts, values, cells = [], [], [], []
    for i, (column, wanted) in enumerate(zip(columns, types, strict=True)):
        name, kind = raw.columns[column.source_name]
        cell, decoded = identifier(name), ""
        if kind == BYTES:
            decoded = decoded_sql(cell)
            cell, kind = text_sql(cell, kind), "VARCHAR"
        tokens = missing_tokens(ingest, column)
        text, value = value_sql(f"r{i}", kind, tokens, wanted), typed_sql(f"p{i}", kind, wanted)
        if column.pattern and is_fraction(kind):
            # 1.234 may be a thousand and more where a pattern says how numbers are written.
            value = "NULL::VARCHAR"
        plain.append(f"{cell} AS r{i}")
        if kind == "VARCHAR":
            # Only cells that do not have the most common form need the costly conversion.
            plain.append(f"{common_form_sql(decoded or cell, wanted, tokens)} AS t{i}")
            value = f"coalesce(t{i}, {value})"
            # A zone may move a time in the most common form beyond the last year.
            text = text if column.timezone else f"CASE WHEN t{i} IS NULL THEN {text} END"
        if decoded:
            plain.append(f"{decoded} IS NOT NULL AS u{i}")
            value = f"CASE WHEN u{i} THEN {value} END"
        if wanted == "timestamp" and column.timezone:
            value = in_zone_sql(value, f"r{i}", kind, column.timezone)
        elif wanted == "timestamp" and raw.text:
            value = noting_offsets_sql(value, f"p{i}")
        texts.append(f"{text} AS p{i}, CAST(r{i} AS VARCHAR) AS x{i}")
        values.append(f"{value} AS v{i}")
        cells.append(f"v{i}, x{i}, (p{i} IS NOT NULL AND v{i} IS NULL) AS m{i}")
    for k, place in enumerate(raw.partners.values()):
        plain.append(f"{identifier(place)} AS q{k}")
        cells.append(f"q{k}")
    labelled = [f"{literal(value)} AS l{i}" for i, value in enumerate(raw.labels.values())]
    file = f"{literal(raw.sha256)}::{_DIGEST}"
    identity = [f"{file} AS _file", "_row", f"{start - 1} + _row AS _order"]
    outer = f"SELECT {', '.join(plain)}, file_row_number + 1 AS _row FROM {raw.relation}"
    inner = f"SELECT *, {', '.join(texts)} FROM ({outer})"
    middle = f"SELECT *, {', '.join(values)} FROM ({inner})"
    return f"SELECT {', '.join([*cells, *labelled, *identity])} FROM ({middle})"


def _unique(
    connection: duckdb.DuckDBPyConnection,
    validation: ContractValidation,
    names: tuple[str, ...],
    rows: int,
) -> Rule:
    """Return the rule that later occurrences of a key break.

    A row that breaks another rule counts as later than those that do not. Keys that occur more than
    once are found first, by a hash of eight bytes, so that only their rows are sorted.
    """
    cells = [validation.cell(name) for name in names]
    keys, complete = ", ".join(cells), " AND ".join(f"{cell} IS NOT NULL" for cell in cells)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE again AS SELECT hash({keys}) AS key FROM checked "
        f"WHERE {complete} GROUP BY key HAVING count(*) > 1"
    )
    repeated = (
        f"SELECT _order FROM checked WHERE {complete} AND hash({keys}) IN (FROM again) "
        f"QUALIFY row_number() OVER "
        f"(PARTITION BY {keys} ORDER BY ({validation.any_rule_broken}), _order) > 1"
    )
    variable = f"repeated_{len(validation.rules)}"
    mark(connection, variable, repeated, rows)
    column = names[0] if len(names) == 1 else ""
    return Rule(f"unique:{','.join(names)}", column, marked(variable, rows))
