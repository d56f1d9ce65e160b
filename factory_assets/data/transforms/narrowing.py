"""A declaration narrowed to what the inputs of a model are derived from.

So rows that have no other columns can be read and cleaned as the training rows were.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from pydantic import ValidationError

from factory_assets.spec import Clean, Column, Contract, Ingest, Windows
from factory_assets.spec.contract import ColumnType
from factory_assets.spec.ingest import Source
from factory_resources.sql.expressions import parse


class TrainedUnder(Protocol):
    """The columns that a model reads, and the declaration that they were made by."""

    @property
    def columns(self) -> Sequence[str]: ...
    @property
    def inputs(self) -> Mapping[str, str]: ...
    @property
    def booleans(self) -> Sequence[str]: ...
    @property
    def ingest(self) -> Ingest: ...
    @property
    def clean(self) -> Clean: ...


def narrowed_cleaning(model: TrainedUnder) -> Clean:
    """Every row is scored or refused by itself: no duplicates, and only rules on needed columns."""
    return _narrowed(model.clean, _needed(model.clean, model.columns))


def read_by_cleaning(clean: Clean, inputs: Sequence[str]) -> set[str]:
    """Return, in lower case, the source columns whose types decide what the inputs become.

    These are the columns of the expressions that the inputs need, and the columns that the inputs
    are derived from without being inputs themselves.

    Args:
        inputs: the columns that the model reads.
    """
    needed = _needed(clean, inputs)
    narrowed = _narrowed(clean, needed)
    in_expressions = {
        name
        for sql in (*narrowed.where.values(), *narrowed.derive.values())
        for name in _columns(sql)
    }
    beside = needed.keys() - {name.lower() for name in inputs}
    return (in_expressions | beside) - {name.lower() for name in clean.columns}


def _narrowed(clean: Clean, needed: Mapping[str, str]) -> Clean:
    derived = {name.lower() for name in clean.columns}
    return clean.model_copy(
        update={
            "where": {
                name: sql
                for name, sql in clean.where.items()
                if _columns(sql) <= needed.keys() - derived
            },
            "unify": tuple(n for n in clean.unify if n.lower() in needed),
            "deduplicate": (),
            "derive": {n: sql for n, sql in clean.derive.items() if n.lower() in needed},
            "windows": _needed_windows(clean, needed),
        }
    )


def narrowed_ingest(model: TrainedUnder, source: Source) -> Ingest:
    """Read only the needed columns; each keeps its contract, but for uniqueness."""
    return Ingest(
        source=source,
        contract=Contract(columns=needed_columns(model)),
        missing=model.ingest.missing,
        max_quarantine=1.0,
    )


def needed_columns(model: TrainedUnder) -> tuple[Column, ...]:
    """Return the contract of each source column that the model's inputs are derived from."""
    return tuple(
        with_type(column, _type_of_input(model, name)).model_copy(
            update={"unique": False} | ({"nullable": False} if _is_picture(model, name) else {})
        )
        for name, column in source_columns(model.ingest, model.clean, model.columns).items()
    )


def source_columns(ingest: Ingest, clean: Clean, read: Sequence[str]) -> dict[str, Column]:
    """Return the source columns that columns are derived from, as declared, by their names.

    Args:
        read: the columns that a model reads.
    """
    derived = {name.lower() for name in clean.columns}
    declared = {column.name.lower(): column for column in ingest.contract.columns}
    return {
        name: declared.get(key, Column(name=name))
        for key, name in _needed(clean, read).items()
        if key not in derived
    }


def with_type(column: Column, kind: ColumnType | None) -> Column:
    """Return a column with a type if it has none: that of the training rows."""
    if column.type or kind is None:
        return column
    try:
        return Column.model_validate({**column.model_dump(by_alias=True), "type": kind})
    except ValidationError:
        # A key that does nothing for this type, such as a timezone of dates, may not stand with it.
        return column


def _is_picture(model: TrainedUnder, name: str) -> bool:
    """Whether a column is the image of each row, without which nothing can be scored."""
    return model.inputs.get(name) == "tensor(uint8)"


def _type_of_input(model: TrainedUnder, name: str) -> ColumnType | None:
    """Return the type that an input was trained on; None if the column is no input."""
    if name in model.booleans:
        return "bool"
    match model.inputs.get(name):
        case "tensor(float)":
            return "float64"
        case "tensor(double)":
            return "timestamp"
        case "tensor(string)" | "tensor(uint8)":
            return "string"
        case _:
            return None


def _needed(clean: Clean, inputs: Iterable[str]) -> dict[str, str]:
    """Return the columns that the inputs are derived from, by lower-case name: SQL ignores case."""
    needed = {name.lower(): name for name in inputs}
    if windows := _needed_windows(clean, needed):
        needed |= {n.lower(): n for n in (windows.by, windows.order, *windows.columns)}
    # A derived column sees only those before it.
    for name, sql in reversed(clean.derive.items()):
        if name.lower() in needed:
            needed |= {n.lower(): n for n in parse(sql, name).columns if n.lower() not in needed}
    return needed


def _needed_windows(clean: Clean, needed: Iterable[str]) -> Windows | None:
    windows = clean.windows
    return windows if windows and {n.lower() for n in windows.added} & set(needed) else None


def _columns(sql: str) -> set[str]:
    return {name.lower() for name in parse(sql, "clean").columns}
