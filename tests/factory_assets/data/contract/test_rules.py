"""The row-level rules of a contract: which rows go to quarantine, and under which rule name."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory_assets.data.contract.rules import pattern_error, rules_of
from factory_assets.spec import Column
from factory_assets.spec.contract import ColumnType
from factory_assets.stages.ingest import ingest
from factory_resources.errors import ContractError
from factory_resources.home.home import Home
from tests.data_stages import column, pipeline, rows
from tests.random_examples import examples


def _ingested(text: str, folder: Path, home: Home, contract: Any) -> tuple[Any, list[Any]]:
    """Return the result, and (row number, rules) of each row in quarantine."""
    (folder / "data.csv").write_text(text, encoding="utf-8")
    ingest_part = {
        "source": {"files": "data.csv"},
        "contract": contract,
        "max_quarantine": 1.0,
    }
    target = text.partition("\n")[0].rpartition(",")[2]
    result = ingest(pipeline(folder, target, ingest=ingest_part), home)
    quarantined = rows(result.quarantine, home, "_row", "_rules")
    return result, [(row["_row"], row["_rules"]) for row in quarantined]


@pytest.mark.parametrize(
    ("rule", "cells", "broken"),
    [
        (
            {"type": "string", "pattern": "[A-Z]{2}[0-9]+"},
            ["AB1", "xAB1", "AB1x", "ÄB1", ""],
            [2, 3, 4],
        ),
        ({"type": "string", "pattern": "(?i)é+|'"}, ["É", "éé", "'", "e"], [4]),
        ({"pattern": "a.c"}, ["abc", "abbc"], [2]),
        ({"type": "string", "length": [2, 3]}, ["a", "ab", "äöü", "abcd", ""], [1, 4]),
        ({"type": "string", "length": [None, 1]}, ["a", "ab"], [2]),
        (
            {"type": "date", "range": ["2024-01-31", None]},
            ["2024-01-30", "2024-01-31", "2025-01-01", ""],
            [1],
        ),
        (
            {"type": "timestamp", "range": [None, "2024-01-31 12:00"]},
            ["2024-01-31T11:59:59", "2024-01-31T12:00:01"],
            [2],
        ),
        (
            {"type": "timestamp", "range": ["20240131", "2024-W06-1T10"]},
            ["2024-01-30T23:59:59", "2024-01-31T00:00:00", "2024-02-05T10:00:01"],
            [1, 3],
        ),
    ],
)
def test_a_rule_quarantines_what_breaks_it(
    rule: dict[str, Any], cells: list[str], broken: list[int], tmp_path: Path, home: Home
) -> None:
    text = "\n".join(["x,y", *(f"{cell},1" for cell in cells)]) + "\n"
    contract = [{"name": "x", **rule}, {"name": "y", "type": "int64"}]
    result, quarantined = _ingested(text, tmp_path, home, contract)
    kind = next(key for key in ("pattern", "length", "range") if key in rule)
    assert quarantined == [(row, f"{kind}:x") for row in broken]
    assert result.quarantined == {f"{kind}:x": len(broken)}


def test_fractions_of_a_typed_source_do_not_satisfy_a_pattern(tmp_path: Path, home: Home) -> None:
    cells = {"price": [1.234, 2.5, None], "code": [17, 18, 19], "y": [1, 2, 3]}
    pq.write_table(pa.table(cells), tmp_path / "data.parquet")
    contract = [
        {"name": "price", "type": "string", "pattern": "[0-9.]+"},
        {"name": "code", "type": "string", "pattern": "[0-9]+"},
        {"name": "y", "type": "int64"},
    ]
    ingest_part = {
        "source": {"files": "data.parquet"},
        "contract": contract,
        "max_quarantine": 1.0,
    }
    result = ingest(pipeline(tmp_path, "y", ingest=ingest_part), home)
    assert result.quarantined == {"pattern:price": 2}


def test_an_invalid_pattern_is_reported_with_its_column(tmp_path: Path, home: Home) -> None:
    assert pattern_error("a{1,3}") is None
    contract = [{"name": "x", "type": "string", "pattern": r"(a)\1"}]
    with pytest.raises(
        ContractError, match=r"pattern .* of column 'x' is not a regular expression"
    ):
        _ingested("x\na\n", tmp_path, home, contract)


def test_a_pattern_on_a_column_that_is_inferred_as_numbers_is_reported(
    tmp_path: Path, home: Home
) -> None:
    with pytest.raises(ContractError, match="pattern of column 'x' needs text, but the column is"):
        _ingested("x\n1\n2\n", tmp_path, home, [{"name": "x", "pattern": "[0-9]"}])


@pytest.mark.parametrize(
    ("kind", "values", "cell"),
    [
        ("date", ["2024-01-31", "31.01.2024"], "2024-01-31"),
        ("timestamp", ["2024-01-31T10:00:00", "noon"], "2024-01-31T10:00:00"),
        ("int64", [1, 2**63], "1"),
    ],
)
def test_an_allowed_value_that_the_type_lacks_is_reported_with_its_column(
    kind: ColumnType, values: list[Any], cell: str, tmp_path: Path, home: Home
) -> None:
    allowed = {"name": "x", "type": kind, "values": values}
    declared = Column.model_validate(allowed)
    what = f"allowed value {values[1]!r} of column 'x' is not a valid {kind}"
    with pytest.raises(ContractError, match=re.escape(what)):
        rules_of(declared, kind, "v", "m")
    contract = [allowed | {"values": values[:1]}, {"name": "y", "type": "int64"}]
    assert _ingested(f"x,y\n{cell},1\n", tmp_path, home, contract)[1] == []


def test_several_columns_can_be_unique_together(tmp_path: Path, home: Home) -> None:
    text = "site,machine,x\na,1,5\na,2,5\nb,1,5\na,1,6\n,1,5\n,1,5\na,2,-1\n"
    contract = {
        "columns": [
            {"name": "site", "type": "string"},
            {"name": "machine", "type": "int64"},
            {"name": "x", "type": "int64", "range": [0, None]},
        ],
        "unique": [["site", "machine"]],
    }
    result, quarantined = _ingested(text, tmp_path, home, contract)
    # A key with a missing part is not compared; of two rows, the one that breaks another rule goes.
    assert quarantined == [(4, "unique:site,machine"), (7, "range:x,unique:site,machine")]
    assert column(result.snapshot, home, "_row") == [1, 2, 3, 5, 6]


def test_the_label_of_a_file_can_be_part_of_a_unique_key(tmp_path: Path, home: Home) -> None:
    for name in ("north", "south"):
        (tmp_path / f"{name}.csv").write_text("machine\n1\n2\n1\n")
    files = {"north": "north.csv", "south": "south.csv"}
    contract = {
        "columns": [{"name": "machine", "type": "int64"}],
        "unique": [["site", "machine"]],
    }
    source = {"files": files, "label": "site"}
    parts = {"source": source, "contract": contract}
    result = ingest(pipeline(tmp_path, "machine", ingest=parts), home)
    assert result.quarantined == {"unique:site,machine": 2}
    assert column(result.snapshot, home, "site") == ["north", "north", "south", "south"]


def test_a_unique_key_of_an_unknown_column_is_reported(tmp_path: Path, home: Home) -> None:
    with pytest.raises(ContractError, match="there is no column 'zz', which `unique` names"):
        _ingested("x,y\n1,2\n", tmp_path, home, {"unique": [["x", "zz"]]})


_CELL = st.sampled_from(["", "a", "b", "A"])


@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=12))
def test_each_key_is_kept_once_and_every_row_is_accounted_for(
    tmp_path: Path, home: Home, table: list[tuple[str, str]]
) -> None:
    text = "a,b,y\n" + "".join(f"{a},{b},1\n" for a, b in table)
    contract = {
        "columns": [{"name": n, "type": "string"} for n in ("a", "b", "y")],
        "unique": [["a", "b"]],
    }
    result, quarantined = _ingested(text, tmp_path, home, contract)
    good = [(row["a"], row["b"]) for row in rows(result.snapshot, home)]
    complete_keys = Counter((a, b) for a, b in table if a and b)
    assert Counter(key for key in good if None not in key) == Counter(set(complete_keys))
    assert len(good) + len(quarantined) == len(table) == result.rows_read
    assert len(quarantined) == sum(count - 1 for count in complete_keys.values())
