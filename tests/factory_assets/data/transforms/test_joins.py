"""Joins add columns; rows keep their number, order and identity."""

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_assets.data.contract.table_checks import checks_of_result, declared_checks
from factory_assets.spec import Join, Pipeline
from factory_assets.stages.ingest import ingest
from factory_resources.errors import ContractError, SourceError
from factory_resources.home.home import Home
from tests.data_stages import column, pipeline, rows
from tests.factory_assets.data.contract.test_table_checks import NOW
from tests.factory_assets.data.sources.test_discovery import key, sqlite
from tests.long_run import in_long
from tests.random_examples import examples

READINGS = "id,machine,y\n1,M2,5\n2,M1,6\n3,M9,7\n4, M2 ,8\n5,,9\n"

DECIMALS = [Decimal("2.50"), Decimal(10**16), Decimal(0)]

MIDNIGHTS = [datetime(2024, 1, day) for day in (1, 2, 3)]

MACHINES = "machine,age,model\nM1,10,a\nM2,20,b\nM3,30,c\n"


def _declared(folder: Path, join: dict[str, Any], **ingest_: Any) -> Pipeline:
    (folder / "d.csv").write_text(READINGS)
    (folder / "m.csv").write_text(MACHINES)
    machines = {"source": {"files": "m.csv"}, "on": "machine", **join}
    part = {"source": {"files": "d.csv"}, "joins": {"machines": machines}, **ingest_}
    return pipeline(folder, ingest={"max_quarantine": 0.9, **part})


def test_a_join_adds_columns_and_keeps_the_rows(tmp_path: Path, home: Home) -> None:
    result = ingest(_declared(tmp_path, {}), home)
    found = rows(result.snapshot, home, "id", "age", "model", "_row")
    assert [tuple(row.values()) for row in found] == [
        (1, 20, "b", 1),
        (2, 10, "a", 2),
        (3, None, None, 3),
        (4, 20, "b", 4),
        (5, None, None, 5),
    ]
    main, joined = result.sources
    assert (main.join, joined.join, joined.name, joined.rows) == ("", "machines", "m.csv", 3)
    assert set(column(result.snapshot, home, "_file")) == {main.sha256}
    assert result.rows_read == 5


def test_a_source_without_rows_is_named_and_not_what_is_joined(tmp_path: Path, home: Home) -> None:
    declared = _declared(tmp_path, {})
    (tmp_path / "d.csv").write_text(READINGS.splitlines()[0] + "\n")
    with pytest.raises(SourceError, match=r"^p/ingest: d\.csv: has no rows; provide data$"):
        ingest(declared, home)


def test_a_required_join_quarantines_rows_without_a_match(tmp_path: Path, home: Home) -> None:
    result = ingest(_declared(tmp_path, {"required": True, "columns": []}), home)
    assert result.quarantined == {"join:machines": 2}
    assert column(result.quarantine, home, "_row") == [3, 5]
    assert "age" not in result.snapshot.columns
    with pytest.raises(ContractError, match=r"most of them 'join:machines' \(2 rows, such as 'M9'"):
        ingest(_declared(tmp_path, {"required": True}, max_quarantine=0.1), home)


def test_the_contract_applies_to_joined_columns(tmp_path: Path, home: Home) -> None:
    contract = [
        {"name": "years", "from": "age", "type": "float64", "range": [None, 15]},
        {"name": "machine", "missing": ["M1"]},
        {"name": "y"},
    ]
    result = ingest(_declared(tmp_path, {}, contract=contract), home)
    assert result.quarantined == {"range:years": 2}
    assert column(result.snapshot, home, "years") == [10.0, None, None]


def test_a_database_table_is_joined_by_several_columns(tmp_path: Path, home: Home) -> None:
    sqlite(
        tmp_path / "p.db",
        "CREATE TABLE t (unit TEXT, number INTEGER, age INTEGER)",
        "INSERT INTO t VALUES ('M2', 1, 7), ('M2', 4, 8), ('M1', 1, 9)",
    )
    source = {"database": "sqlite:p.db", "table": "t"}
    join = {"source": source, "on": ["machine", "id"], "key": ["unit", "number"]}
    result = ingest(_declared(tmp_path, join), home)
    assert column(result.snapshot, home, "age") == [7, None, None, 8, None]


def test_two_joins_add_columns_and_the_labels_of_files(tmp_path: Path, home: Home) -> None:
    (tmp_path / "n.csv").write_text("machine,colour\nM1,red\n")
    (tmp_path / "o.csv").write_text("machine,colour\nM2,blue\n")
    declared = _declared(tmp_path, {"columns": "age", "required": True})
    colours = {"source": {"files": {"x": "n.csv", "y": "o.csv"}, "label": "plant"}, "on": "machine"}
    joins = {**declared.spec.ingest.model_dump(by_alias=True)["joins"], "colours": colours}
    part = {"source": {"files": "d.csv"}, "joins": joins, "max_quarantine": 0.9}
    result = ingest(pipeline(tmp_path, ingest=part), home)
    assert rows(result.snapshot, home, "machine", "age", "colour", "plant") == [
        {"machine": "M2", "age": 20, "colour": "blue", "plant": "y"},
        {"machine": "M1", "age": 10, "colour": "red", "plant": "x"},
        {"machine": "M2", "age": 20, "colour": "blue", "plant": "y"},
    ]
    assert result.added == {"colours": {"colour": "colour"}}


def test_a_changed_joined_table_changes_the_sources_key(tmp_path: Path, home: Home) -> None:
    declared = _declared(tmp_path, {})
    first = key(declared, home)
    (tmp_path / "m.csv").write_text(MACHINES.replace("30", "31"))
    assert key(declared, home) != first


@pytest.mark.parametrize(
    ("join", "says"),
    [
        ({"on": "machin"}, r"joins\.machines\.on: d\.csv has no column 'machin'; did you mean"),
        ({"key": "maschine"}, r"joins\.machines\.key: m\.csv has no column 'maschine'"),
        ({"columns": ["agee"]}, r"joins\.machines\.columns: m\.csv has no column 'agee'.*'age'"),
        ({"rename": {"agee": "a"}}, r"joins\.machines\.rename: m\.csv has no column 'agee'"),
    ],
)
def test_a_join_reports_columns_that_do_not_exist(
    join: dict[str, Any], says: str, tmp_path: Path, home: Home
) -> None:
    with pytest.raises(SourceError, match=says):
        ingest(_declared(tmp_path, join), home)


def test_a_key_that_occurs_twice_stops_the_table(tmp_path: Path, home: Home) -> None:
    declared = _declared(tmp_path, {})
    (tmp_path / "m.csv").write_text(MACHINES + " M2 ,1,x\n,2,y\n,3,z\n")
    with pytest.raises(ContractError, match=r"key machine 'M2' occurs 2 times in m\.csv"):
        ingest(declared, home)


@pytest.mark.parametrize(
    ("join", "sensitive"),
    [({}, "machine"), ({"key": "id", "columns": ["id", "age"], "rename": {"id": "no"}}, "no")],
)
def test_a_sensitive_key_that_occurs_twice_is_not_shown(
    join: dict[str, Any], sensitive: str, tmp_path: Path, home: Home
) -> None:
    contract = [{"name": sensitive, "type": "string", "sensitive": "personal"}, {"name": "y"}]
    declared = _declared(tmp_path, join, contract=contract)
    key = join.get("key", "machine")
    (tmp_path / "m.csv").write_text(MACHINES.replace("machine", key) + "M2,1,x\n")
    with pytest.raises(ContractError) as error:
        ingest(declared, home)
    assert "M2" not in str(error.value)
    assert f"a key of {key} occurs 2 times in m.csv; a joined table must" in str(error.value)


@pytest.mark.parametrize("file", ["d.csv", "m.csv"])
def test_a_sensitive_table_without_its_names_is_not_quoted(
    file: str, tmp_path: Path, home: Home
) -> None:
    contract = [{"name": "model", "type": "string", "sensitive": "personal"}, {"name": "y"}]
    declared = _declared(tmp_path, {}, contract=contract)
    (tmp_path / file).write_text("Erika Mustermann,44,x\n")
    with pytest.raises(SourceError, match=r"has no column 'machine'; .*header: false") as error:
        ingest(declared, home)
    assert "Mustermann" not in str(error.value)


@pytest.mark.parametrize("mine", ["number.parquet", "whole.parquet", "text.csv", "gaps.csv"])
@pytest.mark.parametrize("other", ["number.parquet", "whole.parquet"])
def test_whole_numbers_match_whatever_their_type(
    mine: str, other: str, tmp_path: Path, home: Home
) -> None:
    numbers = {"machine": pa.array([1.0, 12.0, 2.0**45]), "y": [1, 2, 3]}
    pq.write_table(pa.table(numbers), tmp_path / "number.parquet")
    whole = pa.array([1, 12, 2**45], pa.uint64())
    pq.write_table(pa.table({**numbers, "machine": whole}), tmp_path / "whole.parquet")
    (tmp_path / "text.csv").write_text(f"machine,y\n1,1\n 12 ,2\n{2**45},3\n")
    (tmp_path / "gaps.csv").write_text(f"machine,y\n1.0,1\n12.0,2\n{2**45}.0,3\n")
    join = {"source": {"files": other}, "on": "machine", "prefix": "its_"}
    part = {"source": {"files": mine}, "joins": {"machines": join}}
    result = ingest(pipeline(tmp_path, ingest=part), home)
    assert column(result.snapshot, home, "its_y") == [1, 2, 3]


@pytest.mark.parametrize(
    ("mine", "other"),
    [
        (["2.5", "10000000000000000", "0"], pa.array([2.5, 1e16, 0.0])),
        (pa.array([2.5, 1e16, 0.0]), pa.array(DECIMALS, pa.decimal128(20, 2))),
        (pa.array([date(2024, 1, d) for d in (1, 2, 3)]), pa.array(MIDNIGHTS, pa.timestamp("us"))),
        (["2024-01-01", "2024-01-02T00:00", "2024-01-03 00:00:00Z"], pa.array(MIDNIGHTS)),
        (pa.array(MIDNIGHTS, pa.timestamp("ns", "UTC")), pa.array(MIDNIGHTS, pa.date32())),
    ],
)
def test_equal_numbers_and_times_match_whatever_their_type(
    mine: list[str] | pa.Array, other: pa.Array, tmp_path: Path, home: Home
) -> None:
    if isinstance(mine, list):
        text = "".join(f"{cell},{i}\n" for i, cell in enumerate(mine))
        (tmp_path / "mine.csv").write_text(f"machine,y\n{text}")
    else:
        pq.write_table(pa.table({"machine": mine, "y": [0, 1, 2]}), tmp_path / "mine.parquet")
    pq.write_table(pa.table({"machine": other, "y": [1, 2, 3]}), tmp_path / "other.parquet")
    join = {"source": {"files": "other.parquet"}, "on": "machine", "prefix": "its_"}
    part = {"source": {"files": "mine.*"}, "joins": {"machines": join}}
    result = ingest(pipeline(tmp_path, ingest=part), home)
    assert column(result.snapshot, home, "its_y") == [1, 2, 3]


def test_a_join_in_which_no_row_has_a_match_is_told(tmp_path: Path, home: Home) -> None:
    declared = _declared(tmp_path, {})
    (tmp_path / "m.csv").write_text("machine,age,model\nm1,10,a\nm2,20,b\n")
    contract = declared.spec.ingest.contract
    check = checks_of_result(contract, ingest(declared, home), NOW)[-1]
    assert (check.name, check.passed, check.blocking) == ("joins", False, False)
    assert check.says == "no row has a match in the table of joins.machines"
    check = checks_of_result(contract, ingest(_declared(tmp_path, {}), home), NOW)[-1]
    assert check.passed
    assert check.numbers == {"rows with a match in machines": 3}
    assert [*declared_checks(declared.spec.ingest)][-1] == "joins"


def test_texts_that_look_like_numbers_are_compared_as_they_are(tmp_path: Path, home: Home) -> None:
    declared = _declared(tmp_path, {})
    (tmp_path / "d.csv").write_text("machine,y\n1.0,1\n1,2\n01,3\n")
    (tmp_path / "m.csv").write_text("machine,age\n1.0,10\n1,20\n")
    assert column(ingest(declared, home).snapshot, home, "age") == [10, 20, None]


SAME_NAMES = "machine,id,y\nM1,7,70\nM2,8,80\n"


def test_columns_with_the_name_of_another_stop_the_table(tmp_path: Path, home: Home) -> None:
    declared = _declared(tmp_path, {})
    (tmp_path / "m.csv").write_text(SAME_NAMES)
    says = (
        r"column 'id' of m\.csv exists in the source too; write "
        r"`rename: {id: machines_id}` or `prefix: machines_`"
    )
    with pytest.raises(ContractError, match=says):
        ingest(declared, home)
    with pytest.raises(ContractError, match="column 'y' of"):
        ingest(pipeline(tmp_path, ingest=_with_join(declared, rename={"id": "number"})), home)


def _with_join(declared: Pipeline, **keys: Any) -> dict[str, Any]:
    part = declared.spec.ingest.model_dump(by_alias=True, exclude_defaults=True)
    return {**part, "joins": {"machines": {**part["joins"]["machines"], **keys}}}


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({"prefix": "machine_"}, ("machine_id", "machine_y")),
        ({"rename": {"id": "number"}, "prefix": "m "}, ("number", "m y")),
        *in_long(
            [
                ({"rename": {"id": "number", "y": "size"}}, ("number", "size")),
                ({"columns": ["y"], "rename": {"y": "size"}}, ("size",)),
            ]
        ),
    ],
)
def test_added_columns_are_renamed_or_prefixed(
    keys: dict[str, Any], names: tuple[str, ...], tmp_path: Path, home: Home
) -> None:
    declared = _declared(tmp_path, keys)
    (tmp_path / "m.csv").write_text(SAME_NAMES)
    result = ingest(declared, home)
    assert tuple(result.snapshot.columns) == ("id", "machine", "y", *names, "_file", "_row")
    expected = {1: (8, 80), 2: (7, 70), 3: (None, None), 4: (8, 80), 5: (None, None)}
    for row in rows(result.snapshot, home):
        assert tuple(row[name] for name in names) == expected[row["id"]][-len(names) :]
    promised = [{"name": "own", "from": names[-1], "type": "int64"}, {"name": "y"}]
    renamed = ingest(pipeline(tmp_path, ingest=_declared_part(keys, promised)), home)
    assert column(renamed.snapshot, home, "own") == [80, 70, None, 80, None]


def _declared_part(keys: dict[str, Any], contract: list[dict[str, Any]]) -> dict[str, Any]:
    join = {"source": {"files": "m.csv"}, "on": "machine", **keys}
    return {"source": {"files": "d.csv"}, "joins": {"machines": join}, "contract": contract}


def test_a_join_that_renames_nothing_is_stored_as_before() -> None:
    join = Join.model_validate({"source": {"files": "m.csv"}, "on": ("machine",)})
    assert {"prefix", "rename"}.isdisjoint(join.model_dump(mode="json"))


cells = st.lists(st.sampled_from(["a", "b", " b", "c", "", "d'"]), min_size=1, max_size=12)


@settings(deadline=None, max_examples=examples(40))
@given(mine=cells, theirs=st.sets(st.sampled_from(["a", "b", "c", "d'"])), required=st.booleans())
def test_a_join_neither_loses_nor_adds_rows(
    tmp_path_factory: pytest.TempPathFactory, mine: list[str], theirs: set[str], required: bool
) -> None:
    folder = tmp_path_factory.mktemp("join")
    home = Home(folder / "home")

    def lines(records: list[dict[str, Any]]) -> str:
        return "".join(json.dumps(record) + "\n" for record in records)

    (folder / "d.jsonl").write_text(lines([{"y": i, "k": k} for i, k in enumerate(mine)]))
    others = [{"k": k, "v": f"v{k}"} for k in sorted(theirs)] or [{"k": "zz", "v": "zz"}]
    (folder / "o.jsonl").write_text(lines(others))
    join = {"source": {"files": "o.jsonl"}, "on": "k", "required": required}
    part = {"source": {"files": "d.jsonl"}, "joins": {"o": join}, "max_quarantine": 1}
    matched = [k.strip() in theirs for k in mine]
    if required and not any(matched):
        with pytest.raises(ContractError, match="break the contract"):
            ingest(pipeline(folder, ingest=part), home)
        return
    result = ingest(pipeline(folder, ingest=part), home)
    good = rows(result.snapshot, home)
    kept = [i for i, match in enumerate(matched) if match or not required]
    assert [row["_row"] - 1 for row in good] == [row["y"] for row in good] == kept
    assert [row["v"] for row in good] == [
        f"v{mine[i].strip()}" if matched[i] else None for i in kept
    ]
    assert result.rows_read == len(mine) == len(good) + result.quarantined_rows
