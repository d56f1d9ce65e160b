"""Split: what each rule promises, shown on tables that hypothesis makes."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_assets.data.split_checks import declared_split_checks, split_checks
from factory_assets.results.data import CleanResult, SplitResult
from factory_assets.spec import Pipeline
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_assets.stages.split import PARTS, split
from factory_resources.errors import DataError, ExpressionError
from factory_resources.home.home import Home
from factory_resources.sql.engine import sealed
from factory_resources.tables.writer import write
from tests.data_stages import cleaned, column, files_of, pipeline, rows
from tests.random_examples import examples

QUICK = settings(max_examples=examples(20), deadline=None)
SHARES = st.sampled_from([(0.2, 0.1), (0.5, 0.25), (0.34, 0.33)])


def _table(home: Home, columns: dict[str, list[Any]]) -> CleanResult:
    """A clean snapshot made directly; y is 0 and 1 in turn."""
    n = len(next(iter(columns.values())))
    table = pa.table(
        {"y": [i % 2 for i in range(n)], **columns, "_file": ["f"] * n, "_row": range(1, n + 1)}
    )
    with home.scratch() as scratch, sealed(read=[], write=scratch) as connection:
        connection.register("made", table)
        snapshot = write(connection, "FROM made", home=home, table="p/clean", folder=scratch)
    return CleanResult(snapshot=snapshot, quarantine=None, rows_in=n, quarantined={}, duplicates=0)


def _split(home: Home, columns: dict[str, list[Any]], rule: dict[str, Any]) -> SplitResult | None:
    """None where the rows are too few for the rule."""
    try:
        return split(pipeline(home.path, split=rule), _table(home, columns), home)
    except DataError as error:
        if "no row is left" in str(error) or "in no training row" in str(error):
            return None
        raise


def _rows(parts: SplitResult, home: Home, name: str = "_row") -> dict[str, list[Any]]:
    return {part: column(getattr(parts, part), home, name) for part in PARTS}


def _home(folders: pytest.TempPathFactory) -> Home:
    """Return a home for one example; a fixture would be one for all examples."""
    return Home(folders.mktemp("home"))


def _exact(share: float, n: int) -> int:
    return int(share * n + 0.5)


@QUICK
@given(n=st.integers(60, 300), shares=SHARES, seed=st.integers(0, 9))
def test_random_parts_are_disjoint_complete_and_exact(
    tmp_path_factory: pytest.TempPathFactory, n: int, shares: tuple[float, float], seed: int
) -> None:
    home, (test, validation) = _home(tmp_path_factory), shares
    rule = {"test": test, "validation": validation, "seed": seed}
    parts = _split(home, {"x": [*range(n)]}, rule)
    assert parts is not None
    found = _rows(parts, home)
    assert sorted(row for part in found.values() for row in part) == [*range(1, n + 1)]
    assert all(part == sorted(part) for part in found.values())
    assert (len(found["test"]), len(found["validation"])) == (
        _exact(test, n),
        _exact(validation, n),
    )
    again = _split(_home(tmp_path_factory), {"x": [*range(n)]}, rule)
    assert again == parts


@QUICK
@given(groups=st.lists(st.integers(0, 30) | st.none(), min_size=30, max_size=200), shares=SHARES)
def test_groups_never_straddle(
    tmp_path_factory: pytest.TempPathFactory, groups: list[int | None], shares: tuple[float, float]
) -> None:
    home, (test, validation) = _home(tmp_path_factory), shares
    parts = _split(home, {"g": groups}, {"test": test, "validation": validation, "group": "g"})
    if parts is None:
        return
    found = {part: set(values) for part, values in _rows(parts, home, "g").items()}
    n = len(set(groups))
    assert sum(len(values) for values in found.values()) == n
    assert len(found["test"]) == _exact(test, n)
    assert sum(s.rows for s in (parts.train, parts.validation, parts.test)) == len(groups)


@QUICK
@given(strata=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=40, max_size=200))
def test_strata_keep_their_shares(
    tmp_path_factory: pytest.TempPathFactory, strata: list[str | None]
) -> None:
    home = _home(tmp_path_factory)
    parts = _split(home, {"s": strata}, {"test": 0.25, "validation": 0.25, "stratify": "s"})
    if parts is None:
        return
    found = {part: Counter(values) for part, values in _rows(parts, home, "s").items()}
    for value, n in Counter(strata).items():
        assert found["test"][value] == found["validation"][value] == _exact(0.25, n)


@QUICK
@given(times=st.lists(st.integers(0, 50), min_size=20, max_size=200, unique=True))
def test_the_latest_rows_test(tmp_path_factory: pytest.TempPathFactory, times: list[int]) -> None:
    home = _home(tmp_path_factory)
    parts = _split(home, {"t": times}, {"test": 0.25, "validation": 0.25, "time": "t"})
    assert parts is not None
    found = _rows(parts, home, "t")
    assert max(found["train"]) < min(found["validation"])
    assert max(found["validation"]) < min(found["test"])
    assert len(found["test"]) == _exact(0.25, len(times))


@QUICK
@given(times=st.lists(st.integers(0, 6), min_size=20, max_size=200), shares=SHARES)
def test_rows_of_one_moment_stay_together(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], shares: tuple[float, float]
) -> None:
    home, (test, validation) = _home(tmp_path_factory), shares
    rule = {"test": test, "validation": validation, "time": "t"}
    try:
        parts = split(pipeline(home.path, split=rule), _table(home, {"t": times}), home)
    except DataError as error:
        assert len(set(times)) < 3 or "in no training row" in str(error)  # noqa: PT017
        return
    found = _rows(parts, home, "t")
    assert sorted(time for part in found.values() for time in part) == sorted(times)
    assert max(found["train"]) < min(found["validation"])
    assert max(found["validation"]) < min(found["test"])
    # Whole moments, so that no other number of them is nearer to the wanted number of rows.
    counts = [count for _, count in sorted(Counter(times).items(), reverse=True)]
    possible = [sum(counts[:n]) for n in range(1, len(counts) - 1)]
    wanted = _exact(test, len(times))
    assert abs(len(found["test"]) - wanted) == min(abs(rows - wanted) for rows in possible)


@pytest.mark.parametrize(
    ("times", "says"),
    [
        ([*range(100)], None),
        ([*range(70), *[80] * 30], "test has 30.0% of the rows (split.test: 0.2)"),
        ([*[0] * 75, *range(1, 26)], "validation has 5.0% of the rows (split.validation: 0.1)"),
    ],
)
def test_the_shares_that_result_are_told(times: list[int], says: str | None, home: Home) -> None:
    made = pipeline(home.path, split={"time": "t"})
    parts = split(made, _table(home, {"t": times}), home)
    found = {check.name: check for check in split_checks(made, parts)}
    assert found.keys() == declared_split_checks(made).keys()
    check = found["shares"]
    assert (check.passed, check.blocking) == (says is None, False)
    assert (says or "test has 20.0% of the rows") in check.says
    assert "shares" not in declared_split_checks(pipeline(home.path))


@QUICK
@given(where=st.lists(st.sampled_from(["x", "y", "z"]), min_size=40, max_size=100))
def test_given_parts(tmp_path_factory: pytest.TempPathFactory, where: list[str]) -> None:
    home, named = _home(tmp_path_factory), {"column": "w", "test": "x", "validation": "y"}
    parts = _split(home, {"w": where}, {"given": named})
    if parts is not None:
        found = {part: set(values) for part, values in _rows(parts, home, "w").items()}
        assert found == {"test": {"x"}, "validation": {"y"}, "train": {"z"}}


def test_given_test_rows_and_validation_drawn_by_group(home: Home) -> None:
    where = ["test.txt" if i >= 60 else "train.txt" for i in range(100)]
    # The same numbers name other engines in the test file.
    unit = [i // 3 % 20 for i in range(100)]
    rule = {"given": {"column": "w", "test": "test.txt"}, "group": "unit", "validation": 0.25}
    parts = _split(home, {"w": where, "unit": unit}, rule)
    assert parts is not None
    units = {part: set(values) for part, values in _rows(parts, home, "unit").items()}
    assert not units["train"] & units["validation"]
    assert len(units["validation"]) == 5
    assert parts.test.rows == 40


def test_the_seed_matters_and_the_rest_of_the_file_does_not(home: Home) -> None:
    first = _split(home, {"x": [*range(100)]}, {"seed": 1})
    other = _split(home, {"x": [*range(100)]}, {"seed": 2})
    changed = _split(home, {"x": [*range(100, 200)]}, {"seed": 1})
    assert first is not None and other is not None and changed is not None  # noqa: PT018
    assert _rows(first, home) != _rows(other, home)
    assert _rows(first, home) == _rows(changed, home)


def test_rows_whose_group_is_their_key_mostly_stay_in_their_parts(home: Home) -> None:
    rule = {"test": 0.3, "validation": 0.2, "group": "g"}
    parts_of = []
    for keys in (range(300), reversed(range(60, 360))):
        parts = _split(home, {"g": [f"customer {key}" for key in keys]}, rule)
        assert parts is not None
        parts_of.append({key: part for part in PARTS for key in _rows(parts, home, "g")[part]})
    before, after = parts_of
    stayed = [key for key in before.keys() & after.keys() if before[key] == after[key]]
    assert len(before.keys() & after.keys()) == 240
    assert len(stayed) > 0.9 * 240


def test_rows_of_equal_files_are_told_apart(tmp_path: Path, home: Home) -> None:
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("y\n" + "0\n1\n" * 30)
    source = {"files": {"a": "a.csv", "b": "b.csv"}, "label": "site"}
    made = pipeline(tmp_path, ingest={"source": source})
    parts = split(made, clean(made, ingest(made, home), home), home)
    assert (parts.test.rows, parts.validation.rows, parts.train.rows) == (24, 12, 84)


def test_the_number_of_threads_does_not_matter(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "g,y\n" + "".join(f"{i % 997},{i % 2}\n" for i in range(150_000))
    found = []
    for cores in (1, 3):
        engine = "factory_resources.sql.engine"
        monkeypatch.setattr(f"{engine}.usable_cores", lambda cores=cores: cores)
        made, clean_rows = cleaned(text, tmp_path, home, split={"group": "g"})
        found.append(split(made, clean_rows, home))
    assert found[0] == found[1]


def _refused(home: Home, made: Pipeline, value: CleanResult, match: str) -> None:
    before = files_of(home)
    with pytest.raises(DataError, match=match) as caught:
        split(made, value, home)
    assert "\n" not in str(caught.value)
    assert files_of(home) == before


@pytest.mark.parametrize(
    ("target", "rule", "match"),
    [
        ("z", {}, r"train.target: there is no column 'z'"),
        (
            "y",
            {"group": "patiend"},
            r"split.group: there is no column 'patiend'; did you mean 'patient'",
        ),
        ("one", {}, r"target 'one' is '7' in every row"),
        ("hole", {}, r"target 'hole' is missing, NaN or infinite in 2 of 30 rows; .*nullable"),
        ("y", {"time": "hole"}, r"split.time 'hole' is missing in 2 rows"),
        ("y", {"group": "one"}, r"no row is left for \w+ \(30 rows in all\)"),
        ("y", {"test": 0.01}, r"no row is left for test"),
        (
            "y",
            {"given": {"column": "rare", "test": "B"}},
            r"no row is left for test: split.given.test names no value of 'rare'; .*: 'a', 'b'$",
        ),
        (
            "y",
            {"given": {"column": "patient", "test": ["3"], "validation": ["p"]}},
            r"left for validation: split.given.validation .*: '0', '1', .* and others$",
        ),
        (
            "rare",
            {"given": {"column": "rare", "test": "b"}},
            r"class 'b' of target 'rare' \(1 row\).*; mark rows of the class for training in",
        ),
    ],
)
def test_one_clear_line(
    target: str, rule: dict[str, Any], match: str, tmp_path: Path, home: Home
) -> None:
    lines = [f"{i},7,{i % 2},{'' if i < 2 else i},{'b' if i == 0 else 'a'}" for i in range(30)]
    text = "patient,one,y,hole,rare\n" + "\n".join(lines) + "\n"
    made, value = cleaned(text, tmp_path, home, target=target, split=rule)
    _refused(home, made, value, match)


def test_a_moment_that_is_no_number_is_missing(tmp_path: Path, home: Home) -> None:
    text = "x,y\n" + "\n".join(f"{i},{i % 2}" for i in range(30)) + "\n"
    derived = {"derive": {"moment": "ln(x - 2)"}}
    made, value = cleaned(text, tmp_path, home, clean=derived, split={"time": "moment"})
    _refused(home, made, value, r"split.time 'moment' is missing in 2 rows")


_MERGED = r"; merge rare classes by a CASE in clean.derive and predict that column"


@pytest.mark.parametrize(
    ("rows", "rule", "match"),
    [
        (2, {"stratify": "kind"}, rf"at most 2 in each of split.stratify 'kind'\){_MERGED}"),
        (4, {"stratify": "kind"}, rf"at most 4 .*\); change the shares of split, or {_MERGED[2:]}"),
        (2, {"stratify": "farm"}, r"split.stratify 'farm'\); stratify by a column with fewer"),
        (2, {}, rf"class '\w+' of target 'kind' \(2 rows\) is in no training row{_MERGED}"),
        (9, {"test": 0.6}, r"is in no training row; set split.stratify to kind, or give more rows"),
    ],
)
def test_rare_classes_are_named_with_what_helps(
    rows: int, rule: dict[str, Any], match: str, tmp_path: Path, home: Home
) -> None:
    lines = [f"{i},k{i // rows},f{i // 2}" for i in range(25 * rows)]
    made, value = cleaned(
        "x,kind,farm\n" + "\n".join(lines) + "\n", tmp_path, home, target="kind", split=rule
    )
    _refused(home, made, value, match)


def test_numbers_to_predict_are_no_rare_classes(tmp_path: Path, home: Home) -> None:
    text = "x,y\n" + "\n".join(f"{i},{i}.5" for i in range(30)) + "\n"
    made, value = cleaned(text, tmp_path, home, split={"stratify": "y"})
    _refused(home, made, value, r"'y'\); stratify by a column with fewer values, or by none")


def test_merged_rare_classes_can_be_predicted(tmp_path: Path, home: Home) -> None:
    lines = [f"{i},{'a' if i % 2 else f'k{i // 4}'}" for i in range(60)]
    merged = "CASE WHEN kind = 'a' THEN kind ELSE 'other' END"
    made, value = cleaned(
        "x,kind\n" + "\n".join(lines) + "\n",
        tmp_path,
        home,
        clean={"derive": {"merged": merged}},
        train={"target": "merged", "exclude": ["kind"], "model": {"kind": "linear"}},
        split={"stratify": "merged"},
    )
    parts = split(made, value, home)
    assert {*column(parts.train, home, "merged")} == {"a", "other"}


@pytest.mark.parametrize(
    ("target", "task", "match"),
    [
        (
            "day",
            "regression",
            r"'day' is a date, not .*`days: date_diff\('day', DATE .*, \"day\"\)`",
        ),
        ("day", None, r"target 'day' is a date, not a number or a class"),
        ("fit", "regression", r"target 'fit' has texts such as '\w+', which are not numbers"),
    ],
)
def test_a_target_that_cannot_be_predicted_is_named(
    target: str, task: str | None, match: str, tmp_path: Path, home: Home
) -> None:
    lines = [f"2024-01-{i % 28 + 1:02},{'yes' if i % 3 else 'no'},{i}" for i in range(400)]
    train = {"target": target, "task": task, "model": {"kind": "linear"}}
    text = "day,fit,x\n" + "\n".join(lines) + "\n"
    made, value = cleaned(text, tmp_path, home, train=train)
    _refused(home, made, value, match)


@pytest.mark.parametrize(
    ("derive", "more", "refused"),
    [
        ({"over_mean": "x - avg(x) OVER ()"}, {}, "over_mean"),
        ({"mean": "avg(x) OVER ()", "over_mean": "x - MEAN"}, {"exclude": ["mean"]}, "over_mean"),
        (
            {"mean": "avg(x) OVER ()", "over_mean": "x - mean"},
            {"exclude": ["mean", "over_mean"]},
            None,
        ),
        ({"left": "count(*) OVER () - x"}, {"target": "left"}, None),
    ],
)
def test_no_input_depends_on_other_rows(
    derive: dict[str, str], more: dict[str, Any], refused: str | None, tmp_path: Path, home: Home
) -> None:
    train = {"target": "y", "model": {"kind": "linear"}, **more}
    text = "x,y\n" + "".join(f"{i * 7 % 31},{i % 2}\n" for i in range(60))
    made, value = cleaned(text, tmp_path, home, train=train, clean={"derive": derive})
    if refused is None:
        assert split(made, value, home).test is not None
        return
    with pytest.raises(ExpressionError, match=f"derive: input '{refused}' depends on other"):
        split(made, value, home)


def test_losses_that_came_last_do_not_stop_the_split(tmp_path: Path, home: Home) -> None:
    lines = [f"{i},{i * 37 % 101},{max(0, i - 380)}.5" for i in range(400)]
    lines = [line.replace(",0.5", ",0.0") for line in lines]
    train = {"target": "loss", "model": {"kind": "linear"}}
    text = "day,x,loss\n" + "\n".join(lines) + "\n"
    made, value = cleaned(text, tmp_path, home, train=train, split={"time": "day"})
    leaks = split(made, value, home).leaks
    assert leaks is not None
    assert leaks.power["x"] == 0.0


def test_infinite_targets_are_named(tmp_path: Path, home: Home) -> None:
    derive = {"z": "1.0 / CAST(x AS DOUBLE)", "w": "CASE WHEN x = 0 THEN 'inf'::DOUBLE ELSE x END"}
    text = "x,y\n" + "".join(f"{i % 5},{i % 2}\n" for i in range(30))
    made, value = cleaned(text, tmp_path, home, target="w", clean={"derive": derive})
    _refused(home, made, value, "target 'w' is missing, NaN or infinite in 6 of 30 rows")


@pytest.mark.parametrize("row", range(0, 60, 7))
def test_a_number_with_an_infinite_loss_is_named_in_whatever_part_it_is(
    row: int, tmp_path: Path, home: Home
) -> None:
    text = "x,y\n" + "".join(f"{i},{'-1e300' if i == row else i * 0.5}\n" for i in range(60))
    made, value = cleaned(text, tmp_path, home)
    _refused(home, made, value, r"target 'y' is as large as 1e\+300 \(1 row above .* infinite")


def test_large_numbers_that_name_classes_are_kept(tmp_path: Path, home: Home) -> None:
    text = "x,y\n" + "".join(f"{i},{'1e300' if i % 2 else 0.5}\n" for i in range(60))
    train = {"target": "y", "task": "binary", "model": {"kind": "linear"}}
    made, value = cleaned(text, tmp_path, home, train=train)
    assert split(made, value, home).train.rows


def test_every_row_of_the_parts_is_the_clean_row(tmp_path: Path, home: Home) -> None:
    text = "x,y\n" + "".join(f"{i * 1.5},{i % 2}\n" for i in range(50))
    made, value = cleaned(text, tmp_path, home)
    parts = split(made, value, home)
    everything = [row for part in PARTS for row in rows(getattr(parts, part), home)]
    assert sorted(everything, key=lambda r: r["_row"]) == rows(value.snapshot, home)
