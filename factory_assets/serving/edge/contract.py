"""What a program without a SQL engine must know to prepare rows: the contract of a pack.

Writing the pack belongs in `pack`, reading this in `score`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from factory_assets.data.contract.sql_types import is_number
from factory_assets.data.transforms.narrowing import narrowed_cleaning, needed_columns
from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.serving.declared_log import as_sensitive_as_declared
from factory_assets.serving.edge.expressions import expression_node, functions_of
from factory_assets.serving.edge.patterns import is_portable
from factory_assets.spec import Clean, Column
from factory_assets.spec.contract import Bound
from factory_resources.errors import RefusedError
from factory_resources.sql.scalar.binding import Kind

if TYPE_CHECKING:
    import duckdb


_KINDS: Mapping[str, Kind] = {
    "float64": "DOUBLE",
    "int64": "BIGINT",
    "string": "VARCHAR",
    "bool": "BOOLEAN",
}

_TEXT = "tensor(string)"

_REMEDY = "score it with factory predict or factory serve"


def edge_contract(pipeline: str, model: OnnxModel) -> dict[str, Any]:
    """Return the columns, rules, derived columns and inputs as JSON.

    Raises:
        RefusedError: something needs the SQL engine, other rows or other tables; the line names it.
    """
    import duckdb

    _require_single_rows(pipeline, model)
    clean = narrowed_cleaning(model)
    columns = as_sensitive_as_declared(pipeline, needed_columns(model))
    kinds = {column.name.lower(): _kind(pipeline, column) for column in columns}
    with duckdb.connect(":memory:") as engine:
        rules, derived = _expressions(pipeline, clean, kinds, engine)
        described = [_described(column, model.ingest.missing, engine) for column in columns]
    inputs = [_input(pipeline, name, kind, kinds) for name, kind in model.inputs.items()]
    library: dict[str, list[float]] = {}
    for one in (*rules, *derived):
        library |= functions_of(one["expression"])
    return {
        "classes": list(model.classes),
        "threshold": model.threshold,
        **({"regions": model.regions.model_dump()} if model.regions else {}),
        "columns": described,
        "rules": rules,
        "derived": derived,
        "inputs": inputs,
        "library": library,
    }


def _require_single_rows(pipeline: str, model: OnnxModel) -> None:
    clean = narrowed_cleaning(model)
    required = [name for name, join in model.ingest.joins.items() if join.required]
    reasons = {
        "a model of series reads the rows before": bool(model.series),
        "a sentence encoder reads its texts": bool(model.texts),
        "it reads images": bool(model.picture),
        f"the join {', '.join(required)} is required": bool(required),
        "clean.windows looks back at other rows": bool(clean.windows),
        f"clean.unify maps spellings of {', '.join(clean.unify)}": bool(clean.unify),
    }
    for reason, holds in reasons.items():
        if holds:
            raise _refused(pipeline, reason)


def _kind(pipeline: str, column: Column) -> Kind:
    """Return the engine's type of a column that can be checked without the engine."""
    kind = _KINDS.get(column.type or "")
    if kind is None:
        what = f"the SQL engine: it is a {column.type}" if column.type else "a declared type"
        raise _refused(pipeline, f"column {column.name!r} needs {what}")
    if column.pattern and not is_portable(column.pattern):
        raise _refused(pipeline, f"the pattern {column.pattern!r} needs the SQL engine")
    return kind


def _expressions(
    pipeline: str, clean: Clean, kinds: dict[str, Kind], engine: duckdb.DuckDBPyConnection
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return rules and derived columns; the types of the latter are added to `kinds`."""

    def entry(name: str, sql: str, section: str) -> dict[str, Any]:
        node = expression_node(sql, kinds, engine)
        if node is None or node["is"][0] not in {*_KINDS.values(), "INTEGER"}:
            raise _refused(pipeline, f"{section}.{name} needs the SQL engine: {sql}")
        return {"name": name, "sql": sql, "expression": node}

    rules = [entry(name, sql, "clean.where") for name, sql in clean.where.items()]
    derived = []
    for name, sql in clean.derive.items():
        derived.append(entry(name, sql, "clean.derive"))
        kinds[name.lower()] = derived[-1]["expression"]["is"][0]
    return rules, derived


def _input(pipeline: str, name: str, kind: str, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    found = kinds[name.lower()]
    # How the engine writes a double as text is its own.
    if found == ("DOUBLE" if kind == _TEXT else "VARCHAR"):
        raise _refused(pipeline, f"input {name!r} of {found} needs the SQL engine")
    return {"name": name, "reads": name.lower(), "kind": "string" if kind == _TEXT else "float"}


def _described(
    column: Column, missing: tuple[str, ...], engine: duckdb.DuckDBPyConnection
) -> dict[str, Any]:
    tokens = sorted({token.strip() for token in (*missing, *column.missing)})
    return {
        "name": column.name,
        "source": column.source_name,
        "type": column.type,
        "nullable": column.nullable,
        "range": column.range and [_bound(column, bound, engine) for bound in column.range],
        "length": column.length,
        "pattern": column.pattern,
        "values": column.values,
        "missing": {"tokens": tokens, "numbers": [float(t) for t in tokens if is_number(t)]},
        "sensitive": column.sensitive is not None,
        "unit": column.unit,
        "description": column.description,
    }


def _bound(column: Column, bound: Bound, engine: duckdb.DuckDBPyConnection) -> Bound:
    """Return the end of a range as the engine compares it."""
    if bound is None or column.type != "float64":
        return bound
    row = engine.execute(f"SELECT ({bound!r})::DOUBLE").fetchone()
    return float(row[0]) if row else None


def _refused(pipeline: str, reason: str) -> RefusedError:
    return RefusedError(f"cannot be packed: {reason}", where=pipeline, remedy=_REMEDY)
