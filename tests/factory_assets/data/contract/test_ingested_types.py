"""The contract of a model has the types of the training rows, as far as `clean` reads columns."""

from typing import Any

import pytest

from factory_assets.data.contract.ingested_types import with_ingested_types
from factory_assets.spec import Clean, Ingest

KINDS = {
    "zip": "VARCHAR",
    "day": "DATE",
    "size": "DOUBLE",
    "count": "BIGINT",
    "area": "VARCHAR",
    "_row": "BIGINT",
}


def _typed(contract: Any, clean: dict[str, Any], inputs: tuple[str, ...]) -> Ingest:
    ingest = Ingest.model_validate({"source": {"files": "a.csv"}, "contract": contract})
    typed = with_ingested_types(ingest, Clean.model_validate(clean), inputs, KINDS)
    assert Ingest.model_validate_json(typed.model_dump_json(by_alias=True)) == typed
    return typed


@pytest.mark.parametrize(
    ("clean", "inputs", "types"),
    [
        ({"derive": {"area": "left(ZIP, 2)"}}, ("area", "size"), {"zip": "string"}),
        ({"derive": {"area": "left(zip, 2)"}}, ("size",), {}),
        ({"derive": {"stay": "day - DATE '2024-01-01'"}}, ("day", "stay"), {"day": "date"}),
        ({"where": {"known": "size > 0 AND zip <> ''"}}, ("size",), {}),
        ({"where": {"known": "size > 0 AND zip <> ''"}}, ("size", "zip"), {"size", "zip"}),
        ({"windows": {"by": "zip", "order": "day", "size": 2, "columns": "size"}}, ("size",), {}),
        (
            {"windows": {"by": "zip", "order": "day", "size": 2, "columns": "size"}},
            ("size", "size_mean"),
            {"zip": "string", "day": "date"},
        ),
        ({"derive": {"all": "count * size"}}, ("all",), {"size": "float64"}),
        ({}, ("zip", "day", "size"), {}),
    ],
)
def test_what_clean_reads_for_the_inputs_gets_a_type(
    clean: dict[str, Any], inputs: tuple[str, ...], types: dict[str, str] | set[str]
) -> None:
    columns = _typed([], clean, inputs).contract.columns
    found = {column.name: column.type for column in columns}
    assert (found if isinstance(types, dict) else found.keys()) == types


def test_whole_numbers_that_are_names_are_no_text_where_expressions_calculate_with_them() -> None:
    ingest = Ingest.model_validate({"source": {"files": "a.csv"}})
    clean = Clean.model_validate({"where": {"known": "count > 0 AND size > 0"}})
    typed = with_ingested_types(ingest, clean, ("count", "size"), KINDS, names=("count",))
    assert [(one.name, one.type) for one in typed.contract.columns] == [
        ("size", "float64"),
        ("count", "int64"),
    ]


def test_whole_numbers_that_are_names_have_that_type_though_nothing_calculates_with_them() -> None:
    ingest = Ingest.model_validate({"source": {"files": "a.csv"}})
    clean = Clean.model_validate({"derive": {"part": "CAST(size AS BIGINT)"}})
    kinds, names = {**KINDS, "part": "BIGINT"}, ("count", "zip", "part")
    typed = with_ingested_types(ingest, clean, names, kinds, names=names)
    found = {column.name: column.type for column in typed.contract.columns}
    assert found == {"size": "float64", "count": "int64"}


def test_names_that_are_no_texts_have_their_type() -> None:
    ingest = Ingest.model_validate({"source": {"files": "a.csv"}})
    kinds, names = {**KINDS, "open": "BOOLEAN"}, ("size", "open", "day", "zip")
    typed = with_ingested_types(ingest, Clean(), (*names, "count"), kinds, names=names)
    found = {column.name: column.type for column in typed.contract.columns}
    assert found == {"size": "float64", "open": "bool", "day": "date"}


def test_a_declared_contract_keeps_its_keys_and_types() -> None:
    clean = {"derive": {"area": "left(zip, 2) || year(day) || size"}}
    declared = [
        {"name": "zip", "length": [5, 5], "sensitive": "personal"},
        {"name": "day", "timezone": "Europe/Berlin"},
        {"name": "size", "type": "int64"},
        {"name": "other"},
    ]
    contract = {"columns": declared, "unique": [["zip", "day"]]}
    typed = _typed(contract, clean, ("area",)).contract
    assert [column.type for column in typed.columns] == ["string", None, "int64", None]
    assert typed.columns[0].length == (5, 5)
    assert typed.columns[0].sensitive == "personal"
    assert typed.unique == (("zip", "day"),)


def test_promises_of_the_table_do_not_name_columns_that_are_left_out() -> None:
    contract = {"unique": [["size", "day"]], "freshness": {"column": "day", "within": "2d"}}
    typed = _typed(contract, {"derive": {"area": "left(zip, 2)"}}, ("area",))
    assert typed.contract.names == ("zip",)
    unread = _typed(contract, {}, ("size",))
    assert unread.contract.unique == (("size", "day"),)
