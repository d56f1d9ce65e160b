"""The types that the training rows had, as part of the contract that a model is stored with.

Rows to score may look like another type than the training rows did: of five-digit postal codes, a
file may have only those without a leading zero, which look like numbers.
"""

from collections.abc import Collection, Mapping, Sequence

from factory_assets.data.contract.sql_types import SQL_TYPES
from factory_assets.data.transforms.narrowing import read_by_cleaning, with_type
from factory_assets.spec import Clean, Column, Contract, Ingest
from factory_assets.spec.contract import ColumnType

_TYPES: dict[str, ColumnType] = {kind: name for name, kind in SQL_TYPES.items()}


def with_ingested_types(
    ingest: Ingest,
    clean: Clean,
    inputs: Sequence[str],
    kinds: Mapping[str, str],
    *,
    names: Collection[str] = (),
) -> Ingest:
    """Return the declaration in which every column that `clean` reads for the inputs has a type.

    So has every name that was no text: 7.0 is the name 7 of a whole number, and TRUE the name true.
    A declaration without columns gets a contract of these alone; other inputs are read by the types
    of the model. What was promised of the whole table is left out of it: its columns are not named.

    Args:
        inputs: the columns that the model reads.
        kinds: column to DuckDB type, of the training rows.
        names: the inputs that the model reads as names, and whole numbers beyond those that floats
            hold. Others get no type, since they may have fractions in other rows, and expressions
            calculate with both.
    """
    declared = ingest.contract.columns
    read = read_by_cleaning(clean, inputs)
    derived = {name.lower() for name in clean.columns}
    named = {name.lower() for name in names} - derived
    typed = {"VARCHAR": read, "BIGINT": named}
    types = {
        name: _TYPES[kind]
        for name, kind in kinds.items()
        if kind in _TYPES and name.lower() in typed.get(kind, read | named)
    }
    added = tuple(
        Column(name=name, type=kind)
        for name, kind in types.items()
        if name not in ingest.contract.names
    )
    columns = tuple(with_type(column, types.get(column.name)) for column in declared) + added
    if columns == declared:
        return ingest
    contract = (
        ingest.contract.model_copy(update={"columns": columns})
        if declared
        else Contract(columns=columns)
    )
    return ingest.model_copy(update={"contract": contract})
