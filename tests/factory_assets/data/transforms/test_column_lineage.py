"""Column lineage: exact for declared SQL, and without an entry if a query does not show it."""

from typing import Any

import pytest

from factory_assets.data.transforms.column_lineage import (
    clean_origins,
    formulas,
    parse_clean,
    query_origins,
    source_origins,
)
from factory_assets.spec import Clean

CLEAN = Clean.model_validate(
    {
        "where": {"positive": "Torque > 0", "known": "kind IN ('a', 'b')"},
        "deduplicate": ["id"],
        "derive": {
            "power": "torque * speed",
            "ratio": "power / nullif(torque, 0)",
            "trend": "avg(power) OVER (PARTITION BY unit ORDER BY day)",
            "constant": "1",
        },
        "windows": {
            "by": "unit",
            "order": "day",
            "size": 3,
            "columns": ["ratio"],
            "statistics": ["mean", "slope"],
        },
    }
)

INGESTED = ("id", "torque", "speed", "kind", "unit", "day", "_file", "_row")


def test_clean_columns_are_traced_to_ingested_ones() -> None:
    found = clean_origins(CLEAN, INGESTED)
    assert {name: set(origins) for name, origins in found.items()} == {
        **{name: {name} for name in INGESTED[:6]},
        "power": {"torque", "speed"},
        "ratio": {"torque", "speed"},
        "trend": {"torque", "speed", "unit", "day"},
        "constant": set(),
        "ratio_mean": {"torque", "speed", "unit", "day"},
        "ratio_slope": {"torque", "speed", "unit", "day"},
    }
    assert formulas(CLEAN)["ratio_mean"] == "mean of ratio over 3 rows by unit, ordered by day"


def test_a_stored_declaration_is_parsed_again() -> None:
    assert parse_clean(CLEAN.model_dump(mode="json")) == CLEAN
    assert parse_clean({"of": "another time"}) is None


def _declared(source: dict[str, Any], *columns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"source": source, "contract": {"columns": [*columns]}, **more}


def test_contract_columns_are_traced_to_source_columns() -> None:
    declaration = _declared(
        {"files": {"a": "a.csv"}, "label": "site"},
        {"name": "torque", "source": "Torque [Nm]"},
        {"name": "kind", "source": None},
    )
    found = source_origins(declaration, ["torque", "kind", "site", "_file", "_row"], {"site"})
    assert found == {"torque": ("Torque [Nm]",), "kind": ("kind",), "site": ()}


def test_without_contract_columns_keep_their_names() -> None:
    assert source_origins(_declared({"files": "x"}), ["A b"]) == {"A b": ("A b",)}


def test_columns_of_several_sources_and_joins_are_traced() -> None:
    declaration = {
        "source": None,
        "sources": {"a": {"files": "a.csv"}, "b": {"pipeline": "orchard", "stage": "clean"}},
        "label": "site",
        "joins": {
            "prices": {"source": {"files": "p.csv"}, "columns": ["price"]},
            "owners": {"source": {"asset": "raw/owners"}, "columns": ["owner"]},
        },
        "contract": {"columns": [{"name": "cost", "source": "price"}]},
    }
    assert source_origins(declaration, ["size", "cost", "owner", "site"], {"site"}) == {
        "size": ("size", "orchard/clean.size"),
        "cost": ("prices.price",),
        "owner": ("raw/owners.owner",),
        "site": (),
    }


def test_what_a_join_adds_without_naming_it_is_traced_to_its_table() -> None:
    declaration = _declared({"pipeline": "orchard", "stage": "clean"})
    machines = {"source": {"pipeline": "plant", "stage": "ingest"}, "prefix": "m_"}
    declaration["joins"] = {"machines": machines}
    added = {"machines": {"m_age": "age"}}
    assert source_origins(declaration, ["size", "m_age"], (), added) == {
        "size": ("orchard/clean.size",),
        "m_age": ("plant/ingest.age",),
    }


def test_renamed_columns_of_a_join_are_traced_to_its_table() -> None:
    declaration = _declared({"files": "d.csv"}, {"name": "cost", "source": "p price"})
    machines = {"source": {"files": "m.csv"}, "columns": ["age", "id", "price"]}
    rename = {"rename": {"age": "years"}, "prefix": "p "}
    declaration["joins"] = {"machines": {**machines, **rename}}
    assert source_origins(declaration, ["id", "years", "p id", "cost"]) == {
        "id": ("id",),
        "years": ("machines.age",),
        "p id": ("machines.id",),
        "cost": ("machines.price",),
    }


@pytest.mark.parametrize(
    ("sql", "dialect", "expected"),
    [
        (
            "SELECT a.x, b.y + a.z AS s, count(*) AS n FROM plant.readings a "
            "JOIN machines b ON a.id = b.id GROUP BY 1, 2",
            "postgres",
            {"x": ("plant.readings.x",), "s": ("plant.readings.z", "machines.y"), "n": ()},
        ),
        (
            "WITH t AS (SELECT id, max(v) AS m FROM r GROUP BY id) SELECT id, m * 2 AS mm FROM t",
            "sqlite",
            {"id": ("r.id",), "mm": ("r.v",)},
        ),
        (
            'SELECT "Torque [Nm]" AS "Torque" FROM "Plant"."R" WHERE d > :day',
            "postgres",
            {"Torque": ("Plant.R.Torque [Nm]",)},
        ),
        ("SELECT x FROM a UNION ALL SELECT z FROM b", "postgres", {"x": ("a.x", "b.z")}),
        ("SELECT * FROM readings", "sqlite", {}),
        ("SELECT x FROM a, b", "postgres", {}),
        ("no sql at all (", "postgres", {}),
        (f"SELECT {'coalesce(x, ' * 300}0{')' * 300} AS x FROM a", "postgres", {}),
    ],
)
def test_query_columns_are_traced_to_their_tables(
    sql: str, dialect: str, expected: dict[str, tuple[str, ...]]
) -> None:
    found = query_origins(sql, dialect)
    assert {k: tuple(sorted(v)) for k, v in found.items()} == {
        k: tuple(sorted(v)) for k, v in expected.items()
    }


def test_contract_columns_of_a_query_are_traced_to_its_tables() -> None:
    query = {"database": "PLANT", "query": "SELECT r.t AS heat, r.id FROM readings r"}
    declaration = _declared(query, {"name": "temperature", "source": "heat"})
    assert source_origins(declaration, ["temperature", "id"]) == {
        "temperature": ("readings.t",),
        "id": ("readings.id",),
    }
    table = _declared({"database": "PLANT", "table": "plant.readings", "query": None})
    assert source_origins(table, ["t"]) == {"t": ("plant.readings.t",)}
