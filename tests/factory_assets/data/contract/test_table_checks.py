"""Checks of a whole table: what stops the pipeline, what only warns, and the messages."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from factory_assets.data.contract.table_checks import TableError, table_checks
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.execution.stage_checks import stage_checks
from factory_assets.execution.unchanged import unchanged_stages
from factory_assets.results.checks import TableCheck
from factory_assets.results.data import Findings, IngestResult
from factory_assets.spec import Contract
from factory_assets.stages.ingest import ingest
from factory_resources.errors import ContractError
from factory_resources.home.home import Home
from tests.data_stages import files_of, pipeline

NOW = datetime(2024, 5, 10, 12, tzinfo=UTC)


def _check(name: str, contract: Any, rows: int = 10, **findings: Any) -> TableCheck:
    checks = table_checks(Contract.model_validate(contract), rows, Findings(**findings), NOW)
    return next(check for check in checks if check.name == name)


def _pipeline(folder: Path, text: str, contract: Any) -> Any:
    (folder / "data.csv").write_text(text)
    return pipeline(folder, ingest={"source": {"files": "data.csv"}, "contract": contract})


def _run(declared: Any, home: Home, run_id: str) -> IngestResult:
    value = run_stage(StageRequest(declared, "ingest", home, run_id)).value
    assert isinstance(value, IngestResult)
    return value


@pytest.mark.parametrize(("rows", "passed"), [(9, False), (10, True), (20, True), (21, False)])
def test_row_count_must_be_within_its_limits(rows: int, passed: bool) -> None:
    check = _check("row_count", {"rows": {"at_least": 10, "at_most": 20}}, rows)
    assert (check.passed, check.blocking) == (passed, True)
    assert check.numbers == {"rows": rows, "at least": 10, "at most": 20}


def test_files_with_the_same_content_are_told(tmp_path: Path, home: Home) -> None:
    for name, rows in (("a", "1,2"), ("a (1)", "1,2"), ("b", "2,3"), ("c", ""), ("d", "")):
        (tmp_path / f"{name}.csv").write_text(f"x,y\n{rows}\n")
    contract = [{"name": "x", "type": "int64"}, {"name": "y", "type": "int64"}]
    declared = pipeline(tmp_path, ingest={"source": {"files": "[ab]*.csv"}, "contract": contract})
    value = _run(declared, home, "first")
    found = {c.name: c for c in table_checks(Contract(), 3, value.findings, NOW)}["copies"]
    assert (found.passed, found.blocking) == (False, False)
    assert found.says == "a.csv has the content of a (1).csv"
    assert "their rows count twice unless clean.deduplicate names a key" in found.remedy
    by_site = {"files": {"m1": "a.csv", "m2": "a (1).csv"}, "label": "machine"}
    other = pipeline(tmp_path, ingest={"source": by_site, "contract": contract})
    assert _run(other, Home(tmp_path / "other"), "first").findings.copies == {}


@pytest.mark.parametrize(
    ("newest", "within", "passed"),
    [
        ("2024-05-08T12:00:00", "2d", True),
        ("2024-05-08T11:59:59", "2d", False),
        ("2024-05-10T11:30:00", "30min", True),
        ("2024-05-10T11:29:00", "30min", False),
        ("2024-05-03T12:00:00", "1w", True),
        ("2024-05-11T00:00:00", "1h", True),
        ("2024-05-11T12:00:00", "1h", True),
        ("2024-05-11T12:00:01", "1h", False),
        ("9999-12-31T00:00:00", "9w", False),
        (None, "9w", False),
    ],
)
def test_freshness_compares_the_newest_value_with_its_limit(
    newest: str | None, within: str, passed: bool
) -> None:
    contract = {"freshness": {"column": "t", "within": within}}
    check = _check("freshness", contract, newest=newest)
    assert (check.passed, check.blocking) == (passed, True)
    assert newest is None or newest in check.says
    assert ("in the future" in check.says) == (
        newest is not None and newest > "2024-05-11T12:00:00"
    )


def test_too_few_rows_stop_the_pipeline_and_change_nothing(tmp_path: Path, home: Home) -> None:
    declared = _pipeline(tmp_path, "x,y\n1,1\n2,1\n", {"rows": {"at_least": 3}})
    with pytest.raises(TableError, match="has 2 rows, but the contract requires at least 3"):
        ingest(declared, home)
    # Cached digests of files are no result.
    assert files_of(home) <= {"digests.db"}


def test_stale_data_stops_a_reused_result_too(tmp_path: Path, home: Home) -> None:
    newest = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=30)
    text = f"t,y\n2020-01-01,1\n{newest.isoformat(timespec='seconds')},2\n"
    columns = [{"name": "t", "type": "timestamp"}, {"name": "y", "type": "int64"}]

    def declared(within: str) -> Any:
        fresh = {"column": "t", "within": within}
        return _pipeline(tmp_path, text, {"columns": columns, "freshness": fresh})

    first = run_stage(StageRequest(declared("2d"), "ingest", home, "one"))
    assert first.value.findings.newest == newest.isoformat(timespec="seconds")  # type: ignore[union-attr]
    # The limit is not a key component: the stored result is only checked again.
    with pytest.raises(TableError, match=r"'t' is .*, older than the contract allows \(1d\)"):
        run_stage(StageRequest(declared("1d"), "ingest", home, "two"))
    assert run_stage(StageRequest(declared("3d"), "ingest", home, "three")).reused


@pytest.mark.parametrize(("value", "kind"), [("31.01.2024", "varchar"), ("7", "bigint")])
def test_freshness_of_a_column_without_dates_is_told_in_one_line(
    value: str, kind: str, tmp_path: Path, home: Home
) -> None:
    declared = _pipeline(
        tmp_path, f"t,y\n{value},1\n", {"freshness": {"column": "t", "within": "2d"}}
    )
    with pytest.raises(ContractError, match=f"'t' holds {kind}, not dates or timestamps"):
        run_stage(StageRequest(declared, "ingest", home, "one"))


def _table(rows: int, colour: str = "red", shift: float = 0.0, gap: int = 0) -> str:
    lines = [
        f"{i},{'' if gap and i % gap == 0 else (i * 37 % 101) / 10 + shift},"
        f"{colour if i % 2 else 'blue'},{i % 2}"
        for i in range(rows)
    ]
    return "\n".join(["id,size,colour,y", *lines]) + "\n"


CONTRACT = [
    {"name": "id", "type": "int64"},
    {"name": "size", "type": "float64"},
    {"name": "colour", "type": "string"},
    {"name": "y", "type": "int64"},
]


@pytest.mark.parametrize(
    ("text", "change"),
    [
        (_table(900), None),
        (_table(900, shift=5), "'size' median 5 (mostly 1 to 9) → median 10 (mostly 6 to 14)"),
        (_table(900, colour="green"), "'colour' 'red' 50.0% → 0.0% of the values"),
        (_table(900, gap=3), "'size' missing 0.0% → 33.3%"),
    ],
)
def test_a_drifted_distribution_is_reported_with_before_and_after(
    text: str, change: str | None, tmp_path: Path, home: Home
) -> None:
    _run(_pipeline(tmp_path, _table(1000), CONTRACT), home, "one")
    value = _run(_pipeline(tmp_path, text, CONTRACT), home, "two")
    check = _check("drift", {"columns": CONTRACT}, drift=value.findings.drift)
    assert (check.passed, check.blocking) == (change is None, False)
    assert check.numbers["rows before"] == 1000
    assert change is None or change in check.says, check.says
    assert "to refuse such tables" in check.remedy
    limited = _check("drift", {"distribution": {"limit": 9}}, drift=value.findings.drift)
    assert "raise ingest.contract.distribution.limit" in limited.remedy
    # Running numbers never repeat, so they have no distribution.
    assert "'id'" not in check.says


def test_of_a_column_that_became_sensitive_a_drift_shows_no_values(
    tmp_path: Path, home: Home
) -> None:
    _run(_pipeline(tmp_path, _table(1000), CONTRACT), home, "one")
    changed = _table(900, shift=5, colour="green")
    stored = _run(_pipeline(tmp_path, changed, CONTRACT), home, "two")
    gaps = _run(_pipeline(tmp_path, _table(900, gap=3), CONTRACT), home, "three")
    hidden = [{**one, "sensitive": "personal"} for one in CONTRACT[:3]] + CONTRACT[3:]
    assert _run(_pipeline(tmp_path, changed, hidden), home, "four") == stored
    check = _check("drift", {"columns": hidden}, drift=stored.findings.drift)
    assert "'colour' drifted (index " in check.says
    assert "'size' drifted (index " in check.says
    assert not any(value in check.says for value in ("'red'", "green", "median"))
    check = _check("drift", {"columns": hidden}, drift=gaps.findings.drift)
    assert "'size' missing 0.0% → 33.3%" in check.says


def test_a_column_that_is_sensitive_no_longer_looks_personal_by_its_name(
    tmp_path: Path, home: Home
) -> None:
    contract = [{"name": "email", "sensitive": "personal"}, {"name": "y"}]
    hidden = _run(_pipeline(tmp_path, "email,y\na@b.org,1\n", contract), home, "one")
    assert _check("personal_data", {"columns": contract}, personal=hidden.findings.personal).passed
    shown = [{"name": "email"}, {"name": "y"}]
    assert _run(_pipeline(tmp_path, "email,y\na@b.org,1\n", shown), home, "two") == hidden
    check = _check("personal_data", {"columns": shown}, personal=hidden.findings.personal)
    assert not check.passed
    assert check.says == "may be personal: 'email': named like an e-mail address"


def test_a_drift_limit_stops_the_pipeline_and_keeps_the_old_snapshot(
    tmp_path: Path, home: Home
) -> None:
    limited = {"columns": CONTRACT, "distribution": {"limit": 0.5, "columns": ["size"]}}
    _run(_pipeline(tmp_path, _table(1000), limited), home, "one")
    before = files_of(home)
    with pytest.raises(TableError, match=r"'size' median .* \(index [0-9.]+\)"):
        _run(_pipeline(tmp_path, _table(1000, shift=9), limited), home, "two")
    tables = {name for name in files_of(home) if name.startswith("tables")}
    assert tables == {name for name in before if name.startswith("tables")}
    # A column outside of `distribution.columns` may drift.
    _run(_pipeline(tmp_path, _table(1000, colour="green"), limited), home, "three")
    # With a higher limit, the refused table is accepted.
    limited["distribution"] = {"limit": 99.0}
    _run(_pipeline(tmp_path, _table(1000, shift=9), limited), home, "four")


def test_a_limit_holds_for_the_named_columns_however_many_others_moved_more(
    tmp_path: Path, home: Home
) -> None:
    wide = [f"other{i}" for i in range(220)]

    def table(shift: int, by: float) -> str:
        lines = [
            ",".join([str(i % 20 + by), *[str(i % 20 + shift)] * len(wide), str(i % 2)])
            for i in range(400)
        ]
        return "\n".join([",".join(["torque", *wide, "y"]), *lines]) + "\n"

    limited = {"distribution": {"limit": 0.25, "columns": ["torque"]}}
    _run(_pipeline(tmp_path, table(0, 0), limited), home, "one")
    with pytest.raises(TableError, match=r"'torque' median .*"):
        _run(_pipeline(tmp_path, table(90, 5), limited), home, "two")


def test_a_table_whose_drift_was_accepted_is_not_refused_with_the_limit_of_before(
    tmp_path: Path, home: Home
) -> None:
    limited = {"columns": CONTRACT, "distribution": {"limit": 0.5}}
    _run(_pipeline(tmp_path, _table(1000), limited), home, "one")
    shifted = _table(1000, shift=9)
    with pytest.raises(TableError, match="remove it for one run"):
        _run(_pipeline(tmp_path, shifted, limited), home, "two")
    accepted = _run(_pipeline(tmp_path, shifted, CONTRACT), home, "three")
    again = _pipeline(tmp_path, shifted, limited)
    request = StageRequest(again, "ingest", home, "four")
    assert len(unchanged_stages(request, ["ingest"], ()) or ()) == 1
    assert _run(again, home, "four") == accepted
    [check] = [one for one in stage_checks(request, accepted) if one.name == "drift"]
    assert (check.passed, check.blocking) == (False, False)
    assert "'size' median" in check.says
    assert "was accepted before" in check.remedy
    # The next one is compared with it.
    _run(_pipeline(tmp_path, _table(1001, shift=9), limited), home, "five")
    with pytest.raises(TableError, match="'size' median"):
        _run(_pipeline(tmp_path, _table(1001), limited), home, "six")


def test_added_removed_and_changed_columns_are_reported(tmp_path: Path, home: Home) -> None:
    _run(_pipeline(tmp_path, "a,b,y\n1,x,1\n2,y,1\n", []), home, "one")
    value = _run(_pipeline(tmp_path, "a,c,y\nq,x,1\nw,y,1\n", []), home, "two")
    check = _check("drift", {}, drift=value.findings.drift)
    assert not check.passed
    for change in ("column 'c' is new", "'b' is gone", "'a' was BIGINT, now VARCHAR"):
        assert change in check.says
    # If the contract declares the columns, a person changed them on purpose.
    assert _check("drift", {"columns": CONTRACT}, drift=value.findings.drift).passed


def test_small_tables_raise_no_false_alarm(tmp_path: Path, home: Home) -> None:
    for number in range(5):
        text = "\n".join(["id,size,colour,y", *_table(400).splitlines()[1 + 60 * number :][:60]])
        value = _run(_pipeline(tmp_path, text + "\n", CONTRACT), home, str(number))
        assert _check("drift", {"columns": CONTRACT}, drift=value.findings.drift).passed
