"""Contracts in the Open Data Contract Standard: written and read back without losing a promise."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from factory_assets.odcs import reader
from factory_assets.odcs.parsing import Reading
from factory_assets.odcs.writer import write
from factory_assets.spec import Column, Contract

_NAME = st.text("abcXYZ äß.[]'\"", min_size=1, max_size=6)

_TEXT = st.text(min_size=1, max_size=12)

_NUMBER = st.integers(-9, 9) | st.floats(-9, 9)


def _bounds(one: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def ordered(pair: tuple[Any, Any]) -> tuple[Any, Any]:
        return pair if None in pair else tuple(sorted(pair))  # type: ignore[return-value]

    pairs = st.tuples(st.none() | one, st.none() | one).filter(lambda pair: pair != (None, None))
    return st.none() | pairs.map(ordered)


@st.composite
def _columns(draw: st.DrawFn, name: str) -> Column:
    kind = draw(st.sampled_from([None, "int64", "float64", "string", "bool", "date", "timestamp"]))
    column: dict[str, Any] = {
        "name": name,
        "from": draw(st.none() | _NAME),
        "type": kind,
        "nullable": draw(st.booleans()),
        "unique": draw(st.booleans()),
        "values": draw(st.none() | st.lists(_TEXT | _NUMBER | st.booleans(), max_size=3)),
        "missing": draw(st.lists(_TEXT, max_size=2)),
        "sensitive": draw(st.sampled_from([None, "personal", "secret"])),
        "unit": draw(st.none() | _TEXT),
        "description": draw(st.none() | _TEXT),
    }
    if kind in {None, "int64", "float64"}:
        column["range"] = draw(_bounds(_NUMBER))
    if kind in {"date", "timestamp"}:
        column["range"] = draw(_bounds(st.dates().map(str)))
    if kind in {None, "timestamp"}:
        column["timezone"] = draw(st.none() | st.just("Europe/Berlin"))
    if kind in {None, "string"}:
        column["length"] = draw(_bounds(st.integers(0, 9)))
        column["pattern"] = draw(st.none() | _TEXT)
    return Column.model_validate(column)


@st.composite
def _contracts(draw: st.DrawFn) -> Contract:
    names = draw(st.lists(_NAME, min_size=1, max_size=4, unique=True))
    columns = [draw(_columns(name)) for name in names]
    key = st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)
    least, most = draw(st.none() | st.integers(1, 9)), draw(st.none() | st.integers(9, 99))
    dated = [c.name for c in columns if c.type in {None, "date", "timestamp"} and not c.sensitive]
    contract: dict[str, Any] = {
        "columns": columns,
        "unique": draw(st.lists(key, max_size=2)),
        "unchecked": draw(st.lists(_TEXT, max_size=2)),
    }
    if least or most:
        contract["rows"] = {"at_least": least, "at_most": most}
    if dated and draw(st.booleans()):
        within = f"{draw(st.integers(1, 99))}{draw(st.sampled_from(['min', 'h', 'd', 'w']))}"
        contract["freshness"] = {"column": draw(st.sampled_from(dated)), "within": within}
    if draw(st.booleans()):
        limit = draw(st.none() | st.floats(0.01, 9))
        contract["distribution"] = {"limit": limit, "columns": draw(st.just([]) | key)}
    return Contract.model_validate(contract)


@settings(deadline=None)
@given(_contracts())
def test_written_contract_is_read_back_unchanged(contract: Contract) -> None:
    written = write(contract, name="machines", purpose="Sizes", owners=["team:a"])
    reading = reader.read(written)
    assert reading.wrong == []
    assert Contract.model_validate(reading.contract) == contract
    again = write(Contract.model_validate(reading.contract), name="machines", purpose="Sizes")
    assert again == {key: value for key, value in written.items() if key != "team"}


def _file(**schema: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "x",
        "version": "1.0.0",
        "status": "active",
        "schema": [{"name": "orders", **schema}],
    }


def _column(**parts: Any) -> Any:
    reading = reader.read(_file(properties=[{"name": "a", **parts}]))
    assert reading.wrong == []
    [column] = Contract.model_validate(reading.contract).columns
    return column, [promise for _, promise in reading.unchecked]


@pytest.mark.parametrize(
    ("parts", "ours"),
    [
        ({"logicalType": "integer", "required": True}, {"type": "int64", "nullable": False}),
        ({"physicalName": "A [mm]"}, {"source": "A [mm]"}),
        ({"primaryKey": True, "primaryKeyPosition": 1}, {"unique": True, "nullable": False}),
        ({"classification": "Confidential"}, {"sensitive": "personal"}),
        ({"classification": "public"}, {"sensitive": None}),
        (
            {"logicalType": "number", "logicalTypeOptions": {"maximum": 5}},
            {"type": "float64", "range": (None, 5)},
        ),
        (
            {"logicalType": "timestamp", "logicalTypeOptions": {"defaultTimezone": "Asia/Tokyo"}},
            {"type": "timestamp", "timezone": "Asia/Tokyo"},
        ),
        ({"quality": [{"metric": "nullValues", "mustBe": 0}]}, {"nullable": False}),
        ({"quality": [{"metric": "duplicateValues", "mustBeLessThan": 1}]}, {"unique": True}),
        (
            {
                "quality": [
                    {
                        "type": "library",
                        "metric": "invalidValues",
                        "arguments": {"validValues": ["a", "b"]},
                        "mustBe": 0,
                        "unit": "percent",
                    }
                ]
            },
            {"values": ("a", "b")},
        ),
        (
            {
                "quality": [
                    {
                        "metric": "missingValues",
                        "arguments": {"missingValues": [None, "", "N/A"]},
                        "mustBe": 0,
                    }
                ]
            },
            {"missing": ("N/A",), "nullable": False},
        ),
        (
            {
                "customProperties": [{"property": "missing", "value": "NA"}],
                "quality": [
                    {
                        "metric": "missingValues",
                        "arguments": {"missingValues": [0, "?", "?", "NA"]},
                        "mustBe": 0,
                    }
                ],
            },
            {"missing": ("NA", "0", "?"), "nullable": False},
        ),
    ],
)
def test_property_becomes_a_column(parts: dict[str, Any], ours: dict[str, Any]) -> None:
    column, unchecked = _column(**parts)
    assert unchecked == []
    assert {key: getattr(column, key) for key in ours} == ours


@pytest.mark.parametrize(
    "parts",
    [
        {"quality": [{"metric": "nullValues", "mustBeLessThan": 5, "unit": "percent"}]},
        {"quality": [{"metric": "duplicateValues", "mustBeLessThan": 10}]},
        {"quality": [{"type": "sql", "query": "SELECT 1", "mustBe": 1}]},
        {"quality": [{"type": "custom", "engine": "soda", "implementation": "x"}]},
        {"quality": [{"type": "text", "description": "Verified by the lab"}]},
        {"logicalType": "string", "logicalTypeOptions": {"format": "email"}},
        {"logicalType": "number", "logicalTypeOptions": {"exclusiveMinimum": 0}},
        {"logicalType": "number", "logicalTypeOptions": {"exclusiveMaximum": 9}},
        {"logicalType": "integer", "logicalTypeOptions": {"multipleOf": 5}},
        {"quality": [{"metric": "nullValues", "mustBeLessThan": 1, "unit": "percent"}]},
        {"quality": [{"metric": "nullValues", "mustBe": 0, "unit": "seconds"}]},
        {"quality": [{"metric": "rowCount", "mustBe": 7}]},
        {"logicalType": "timestamp", "logicalTypeOptions": {"timezone": True}},
        {"relationships": [{"to": "other.id"}]},
    ],
)
def test_inexpressible_promise_is_unchecked(parts: dict[str, Any]) -> None:
    column, unchecked = _column(**parts)
    assert len(unchecked) == 1
    assert (column.nullable, column.unique) == (True, False)


def test_a_second_list_of_valid_values_is_unchecked_and_replaces_nothing() -> None:
    rules = [
        {"metric": "invalidValues", "arguments": {"validValues": [value]}, "mustBe": 0}
        for value in ("a", "b")
    ]
    column, unchecked = _column(quality=rules)
    assert column.values == ("a",)
    assert unchecked == ["invalidValues of column 'a' within its declared bound"]


@pytest.mark.parametrize(
    "part",
    [
        {"relationships": [{"from": "a", "to": "other.id"}]},
        {
            "quality": [
                {"metric": "nullValues", "arguments": {"properties": ["a"]}, "mustBe": 0},
            ]
        },
        {"quality": [{"metric": "rowCount", "mustBe": 7, "unit": "percent"}]},
        {"quality": [{"metric": "rowCount", "mustBe": 7.5}]},
        {"quality": [{"metric": "rowCount", "mustBe": True}]},
        {"quality": [{"metric": "rowCount", "mustBeGreaterThan": 1, "mustBeLessThan": 9}]},
    ],
)
def test_inexpressible_promise_about_a_table_is_unchecked(part: dict[str, Any]) -> None:
    reading = reader.read(_file(properties=[{"name": "a"}], **part))
    assert reading.wrong == []
    [promise] = [promise for _, promise in reading.unchecked]
    assert reading.contract == {"columns": [{"name": "a"}], "unchecked": [promise]}


def test_of_two_row_counts_the_stricter_bounds_hold() -> None:
    bounds = [[5, 90], [3, 80], [4, 99]]
    rules = [{"metric": "rowCount", "mustBeBetween": both} for both in bounds]
    assert reader.read(_file(quality=rules)).contract["rows"] == {"at_least": 5, "at_most": 80}


@pytest.mark.parametrize(
    ("rule", "rows"),
    [
        ({"mustBeBetween": [5, 9]}, (5, 9)),
        ({"mustBeGreaterThan": 5}, (6, None)),
        ({"mustBeLessThan": 5}, (None, 4)),
        ({"mustBe": 7}, (7, 7)),
        ({"mustNotBe": 0}, (1, None)),
    ],
)
def test_row_count_rule_becomes_bounds(
    rule: dict[str, Any], rows: tuple[int | None, int | None]
) -> None:
    reading = reader.read(_file(quality=[{"metric": "rowCount", **rule}]))
    bounds = Contract.model_validate(reading.contract).rows
    assert bounds is not None
    assert (bounds.at_least, bounds.at_most) == rows


def test_primary_key_of_several_columns_is_unique_together() -> None:
    properties = [
        {"name": "b", "primaryKey": True, "primaryKeyPosition": 2},
        {"name": "a", "primaryKey": True, "primaryKeyPosition": 1},
        {"name": "c"},
    ]
    contract = Contract.model_validate(reader.read(_file(properties=properties)).contract)
    assert contract.unique == (("a", "b"),)
    assert [column.nullable for column in contract.columns] == [False, False, True]
    assert not any(column.unique for column in contract.columns)


def test_latency_becomes_freshness_and_other_levels_are_unchecked() -> None:
    data = _file(properties=[{"name": "t", "logicalType": "timestamp"}])
    data["slaProperties"] = [
        {"property": "latency", "value": 4, "unit": "days", "element": "orders.t"},
        {"property": "retention", "value": 3, "unit": "y"},
    ]
    reading = reader.read(data)
    fresh = Contract.model_validate(reading.contract).freshness
    assert fresh is not None
    assert (fresh.column, fresh.within) == ("t", "4d")
    assert [promise for _, promise in reading.unchecked] == ["the service level 'retention'"]


@pytest.mark.parametrize(
    ("table", "column", "within"), [("orders", "t", "4d"), ("lines", "u", "2h")]
)
def test_service_levels_are_those_of_the_chosen_schema(
    table: str, column: str, within: str
) -> None:
    data = _file(properties=[{"name": "t", "logicalType": "timestamp"}])
    lines = {"name": "lines", "properties": [{"name": "u", "logicalType": "timestamp"}]}
    data["schema"].append(lines)
    data["slaProperties"] = [
        {"property": "latency", "value": 4, "unit": "days", "element": "orders.t"},
        {"property": "latency", "value": 2, "unit": "h", "element": "lines.u"},
    ]
    reading = reader.read(data, table)
    assert reading.contract["freshness"] == {"column": column, "within": within}
    assert reading.unchecked == []


def _levels(*levels: dict[str, Any]) -> Reading:
    columns = [{"name": name, "logicalType": "timestamp"} for name in ("t", "lines")]
    data = _file(properties=columns)
    data["schema"].append({"name": "lines", "properties": [{"name": "u"}]})
    latency = {"property": "latency", "value": 4, "unit": "d", "element": "orders.t"}
    return reader.read({**data, "slaProperties": [latency | one for one in levels]}, "orders")


def test_only_the_first_latency_of_one_column_is_checked() -> None:
    reading = _levels({"element": "orders.t, orders.lines"}, {}, {"value": 2})
    assert reading.contract["freshness"] == {"column": "t", "within": "4d"}
    assert reading.wrong == []
    places = [place for place, _ in reading.unchecked]
    assert places == [("slaProperties", 0), ("slaProperties", 2)]


def test_a_column_may_have_the_name_of_another_schema() -> None:
    assert _levels({"element": "lines"}).contract["freshness"]["column"] == "lines"


@pytest.mark.parametrize("change", [{"value": True}, {"value": 1.5}, {"unit": "years"}])
def test_a_latency_needs_a_whole_number_and_a_unit(change: dict[str, Any]) -> None:
    reading = _levels(change)
    [(place, message)] = reading.wrong
    assert place == ("slaProperties", 0)
    assert "latency needs a whole number as `value` and a `unit`" in message
    assert "freshness" not in reading.contract


@pytest.mark.parametrize("key", ["apiVersion", "kind", "id", "version", "status"])
def test_what_the_standard_requires_of_a_file_must_be_there(key: str) -> None:
    data = _file(properties=[{"name": "a"}])
    del data[key]
    assert reader.read(data).wrong == [((), f"{key!r} is missing; the standard requires it")]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("apiVersion", "v2.2.2", "'v2.2.2' is not supported; write v3.1.0"),
        ("kind", "DataProduct", "must be DataContract"),
        ("schema", [], "there is no schema, so nothing is promised; add one"),
    ],
)
def test_a_file_of_something_else_is_refused(key: str, value: Any, message: str) -> None:
    data = {**_file(properties=[{"name": "a"}]), key: value}
    assert reader.read(data).wrong == [((key,), message)]


def test_one_of_several_schemas_must_be_chosen() -> None:
    data = _file(properties=[{"name": "a"}])
    lines = {"name": "lines", "physicalName": "LINES_2", "properties": [{"name": "b"}]}
    data["schema"].append(lines)
    assert reader.read(data).wrong == [
        (("schema",), "has several schemas; choose one with `table`: orders, lines")
    ]
    for name in ("lines", "LINES_2"):
        assert reader.read(data, name).contract["columns"] == [{"name": "b"}]
    [(_, message)] = reader.read(data, "order").wrong
    assert "did you mean 'orders'?" in message


@pytest.mark.parametrize(
    ("change", "at", "message"),
    [
        (
            {"properties": [{"name": "a", "requird": True}]},
            "requird",
            "unknown key 'requird'; did you",
        ),
        ({"properties": [{"name": "a", "logicalType": "int"}]}, "logicalType", "is not a type"),
        (
            {"properties": [{"name": "a", "logicalType": "object"}]},
            "logicalType",
            "tables are flat",
        ),
        ({"properties": [{"name": "a", "required": "yes"}]}, "required", "must be true or false"),
        ({"quality": [{"metric": "rowCont", "mustBe": 1}]}, "metric", "did you mean 'rowCount'?"),
        ({"quality": [{"metric": "rowCount"}]}, 0, "has no bound"),
        ({"properties": {"a": {}}}, "properties", "must be a list"),
        ({"propertys": []}, "propertys", "did you mean 'properties'?"),
    ],
)
def test_mistakes_have_their_place(change: dict[str, Any], at: Any, message: str) -> None:
    [(place, mistake)] = reader.read(_file(**change)).wrong
    assert place[-1] == at
    assert message in mistake


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "properties", "quality", "metric", "mustBe", "arguments", "type"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(_JSON, _JSON)
def test_any_content_is_read_or_reported(schema: Any, levels: Any) -> None:
    data = {**_file(), "schema": [schema], "slaProperties": levels}
    reading = reader.read(data)
    try:
        Contract.model_validate(reading.contract)
    except ValidationError:
        return
    assert reading.wrong or isinstance(schema, dict)
