"""No row is lost or made, and each goes where its values say: over random tables and rules."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_resources.errors import ContractError, DataError
from factory_resources.home.home import Home
from tests.data_stages import pipeline, rows
from tests.random_examples import examples

QUICK = settings(max_examples=examples(40), deadline=None)
CELLS = st.sampled_from(["", "1", "2", "2.0", "2.5", "-7", "x", "NA", " 3 ", "inf", "a,b", 'q"q'])
TABLES = st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=40)
COLUMNS = st.fixed_dictionaries(
    {"type": st.sampled_from(["int64", "float64", "string", "bool", None])},
    optional={
        "nullable": st.booleans(),
        "unique": st.booleans(),
        "missing": st.just(["NA"]),
    },
)


def _written(table: list[tuple[str, ...]], folder: Path) -> None:
    with (folder / "data.csv").open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow("abc")
        writer.writerows(table)


def _breaks(cell: str, column: dict[str, Any]) -> str | None:
    """What the contract says of one cell, told a second time, in Python."""
    text = cell.strip()
    if text in {"", *column.get("missing", [])}:
        return "null" if not column.get("nullable", True) else None
    try:
        number = float(text)
    except ValueError:
        number = None
    match column["type"]:
        case "int64":
            fits = number is not None and number == number // 1 and abs(number) < 1e18
        case "float64":
            fits = number is not None and abs(number) < float("inf")
        case "bool":
            fits = text in {"0", "1", "true", "false"}
        case _:
            fits = True
    return None if fits else "type"


@QUICK
@given(table=TABLES, columns=st.tuples(COLUMNS, COLUMNS, COLUMNS))
def test_every_row_is_kept_or_quarantined_for_its_reason(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[tuple[str, ...]],
    columns: tuple[dict[str, Any], ...],
) -> None:
    folder = tmp_path_factory.mktemp("conserved")
    home = Home(folder / "home")
    _written(table, folder)
    declared = [
        {"name": n, **{k: v for k, v in c.items() if v is not None}}
        for n, c in zip("abc", columns, strict=True)
    ]
    part = {"source": {"files": "data.csv"}, "contract": declared, "max_quarantine": 1.0}
    try:
        result = ingest(pipeline(folder, target="a", ingest=part), home)
    except ContractError as error:
        if f"{len(table)} of {len(table)} rows" in str(error):
            return
        raise
    kept, broken = rows(result.snapshot, home), rows(result.quarantine, home)
    assert len(kept) + len(broken) == result.rows_read == len(table)
    places = sorted(row["_row"] for row in kept + broken)
    assert places == [*range(1, len(table) + 1)]
    reasons = {row["_row"]: set(row["_rules"].split(",")) for row in broken}
    for number, cells in enumerate(table, 1):
        expected = {
            f"{reason}:{name}"
            for name, cell, column in zip("abc", cells, columns, strict=True)
            if column["type"] and (reason := _breaks(cell, column))
        }
        found = {r for r in reasons.get(number, set()) if not r.startswith("unique")}
        typed = {f":{n}" for n, c in zip("abc", columns, strict=True) if c["type"]}
        assert {r for r in found if r[r.index(":") :] in typed} == expected
    for name, column in zip("abc", columns, strict=True):
        values = [row[name] for row in kept if row[name] is not None]
        assert not column.get("unique") or len(set(values)) == len(values)
    for row in broken:
        assert tuple(row[n] for n in "abc") == tuple(c or None for c in table[row["_row"] - 1])
    counted = Counter(rule for rules in reasons.values() for rule in rules)
    assert counted == result.quarantined


RULES = st.dictionaries(
    st.sampled_from(["r1", "r2", "r3"]),
    st.sampled_from(["a > 2", "a <> b", "b IS NOT NULL", "a % 2 = 0", "a + b < 8", "a / b > 1"]),
)
NUMBERS = st.lists(
    st.tuples(st.integers(0, 5) | st.none(), st.integers(0, 5) | st.none()), min_size=1, max_size=40
)


@QUICK
@given(table=NUMBERS, where=RULES, key=st.sampled_from([[], ["a"], ["b", "a"]]))
def test_rows_in_are_kept_quarantined_or_duplicates(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[tuple[int | None, int | None]],
    where: dict[str, str],
    key: list[str],
) -> None:
    folder = tmp_path_factory.mktemp("conserved")
    home = Home(folder / "home")
    cells = ["" if v is None else str(v) for pair in table for v in pair]
    lines = [f"{a},{b},c" for a, b in zip(cells[::2], cells[1::2], strict=True)]
    (folder / "data.csv").write_text("a,b,c\n" + "\n".join(lines) + "\n")
    contract = [{"name": "a", "type": "int64"}, {"name": "b", "type": "int64"}, {"name": "c"}]
    part = {"source": {"files": "data.csv"}, "contract": contract}
    made = pipeline(folder, target="a", ingest=part, clean={"where": where, "deduplicate": key})
    ingested = ingest(made, home)
    try:
        result = clean(made, ingested, home)
    except DataError as error:
        if "no row is left" in str(error):
            return
        raise
    kept, broken = rows(result.snapshot, home), rows(result.quarantine, home)
    assert len(kept) + len(broken) + result.duplicates == result.rows_in == len(table)
    places = [row["_row"] for row in kept]
    assert places == sorted(places)
    assert not {*places} & {row["_row"] for row in broken}
    if key:
        keys = [tuple(row[name] for name in key) for row in kept]
        known = [value for value in keys if any(part is not None for part in value)]
        assert len(set(known)) == len(known)
        gone = {*range(1, len(table) + 1)} - {*places} - {row["_row"] for row in broken}
        order = {"a": 0, "b": 1}
        for number in gone:
            value = tuple(table[number - 1][order[name]] for name in key)
            assert value in known
            assert places[keys.index(value)] < number
    else:
        assert result.duplicates == 0
