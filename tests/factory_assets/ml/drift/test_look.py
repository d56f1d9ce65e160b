"""Looks at rows that changed, and at rows that did not."""

import warnings
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.drift.columns import WatchedColumn
from factory_assets.ml.drift.look import look
from factory_assets.ml.drift.report import DriftFinding, DriftReport
from factory_assets.ml.drift.state import CAPACITY, DriftState, begin
from factory_resources.errors import DataError

PERIOD, EFFECT = 3650.0, 0.1
COLUMNS = [
    WatchedColumn("size", "number"),
    WatchedColumn("weight", "number"),
    WatchedColumn("colour", "category"),
    WatchedColumn("price", "number", "output"),
]
Change = Callable[[dict[str, np.ndarray], np.random.Generator], None]


def _rows(count: int, generator: np.random.Generator, change: Change | None = None) -> pa.Table:
    size = generator.normal(310, 2, count)
    weight = 0.8 * (size - 310) / 2 + 0.6 * generator.normal(size=count)
    colour = generator.choice(["red", "green", "blue"], count, p=[0.2, 0.3, 0.5]).astype(object)
    columns = {"size": size, "weight": weight, "colour": colour, "price": size + weight}
    if change is not None:
        change(columns, generator)
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})


def _watch(
    change: Change | None, *, days: int, before: int = 10, daily: int = 100, reference: int = 1_000
) -> tuple[DriftState, list[DriftReport]]:
    """Return the reports of the days since the change."""
    generator = np.random.default_rng(1)
    state, reports = begin(_rows(reference, generator), COLUMNS, seed=3), []
    for day in range(before + days):
        rows = _rows(daily, generator, change if day >= before else None)
        state, report = look(state, rows, days=1.0)
        assert day >= before or not report.alarm(PERIOD, EFFECT)
        reports.append(report)
    return state, reports[before:]


def _first(reports: list[DriftReport], column: str) -> tuple[int, DriftFinding]:
    """Return the first day with an alarm of this column, counted from 1, and the alarm."""
    for day, report in enumerate(reports, 1):
        for finding in report.alarm(PERIOD, EFFECT):
            if finding.column == column:
                return day, finding
    raise AssertionError(f"no alarm of {column!r}")


def test_numbers_beyond_64_bits_are_compared_without_a_warning() -> None:
    rows = pa.table({"mass": np.linspace(1e20, 1e30, 300)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state = begin(rows, [WatchedColumn("mass", "number")], seed=3)
        _, report = look(state, rows, days=1.0)
    assert not report.alarm(PERIOD, EFFECT)


def _shift(columns: dict[str, np.ndarray], generator: np.random.Generator) -> None:
    columns["size"] += 2


def _repaint(columns: dict[str, np.ndarray], generator: np.random.Generator) -> None:
    count = len(columns["colour"])
    columns["colour"] = generator.choice(["red", "green", "blue"], count, p=[0.35, 0.25, 0.4])


def _new_colour(columns: dict[str, np.ndarray], generator: np.random.Generator) -> None:
    columns["colour"][generator.random(len(columns["colour"])) < 0.15] = "violet"


def _lose(columns: dict[str, np.ndarray], generator: np.random.Generator) -> None:
    columns["weight"][generator.random(len(columns["weight"])) < 0.15] = np.nan


def _split(columns: dict[str, np.ndarray], generator: np.random.Generator) -> None:
    """The same mean and variance, in two heaps."""
    side = generator.choice([-1, 1], len(columns["size"]))
    columns["size"] = 310 + 2 * (0.95 * side + 0.31 * generator.normal(size=len(side)))


def _untie(columns: dict[str, np.ndarray], generator: np.random.Generator) -> None:
    """The same margins; the correlation of .8 becomes one of -.8."""
    columns["weight"] = -columns["weight"]


def _rise(columns: dict[str, np.ndarray], generator: np.random.Generator) -> None:
    """Larger sizes and weights, which go together as before."""
    columns["size"] += 8
    columns["weight"] += 4


def _settle(columns: dict[str, np.ndarray], generator: np.random.Generator) -> None:
    """Larger sizes, and always the same large weight."""
    columns["size"] += 8
    columns["weight"][:] = 4


@pytest.mark.parametrize(
    ("change", "column", "what", "words"),
    [
        (_shift, "size", "values", "median 30"),
        (_repaint, "colour", "values", "'red' 2"),
        (_new_colour, "colour", "values", "other values 0.0% → "),
        (_lose, "weight", "missing", "missing 0.0% → "),
        (_split, "size", "values", " of the values up to 3"),
        (_untie, "", "joint", "correlation of 'size' and 'weight' 0."),
        (_rise, "", "joint", "values of 'size' and 'weight' that were rare together"),
        (_settle, "", "joint", " → 0.00"),
    ],
    ids=["shift", "shares", "new category", "missing", "shape", "joint", "both", "constant"],
)
def test_a_change_is_found_within_days_and_told_in_words(
    change: Change, column: str, what: str, words: str
) -> None:
    _, reports = _watch(change, days=10)
    day, found = _first(reports, column)
    assert day <= 7
    assert found.what == what
    assert words in found.words
    assert found.since <= day


def test_quiet_rows_raise_no_alarm_and_what_is_kept_stays_bounded() -> None:
    generator = np.random.default_rng(5)
    state = begin(_rows(1_000, generator), COLUMNS, seed=5)
    for _ in range(8):
        state, report = look(state, _rows(2_500, generator), days=1.0)
        assert not report.alarm(PERIOD, EFFECT)
    assert {sum(map(len, bag.strata.values())) for bag in state.values[1:]} == {CAPACITY}
    assert state.values[0].strata[0].sum() == CAPACITY
    assert (state.missing.strata[0].sum(axis=1) == CAPACITY).all()
    assert len(state.recent) == 2_000


def test_the_sampling_error_of_a_small_reference_is_no_change() -> None:
    """300 rows, and 30,000 quiet ones after them."""
    for seed in range(3):
        generator = np.random.default_rng(seed)
        state = begin(_rows(300, generator), COLUMNS, seed=seed)
        for _ in range(60):
            state, report = look(state, _rows(500, generator), days=1.0)
            assert report.evidence < PERIOD


def test_bets_on_few_values_of_a_tiny_reference_are_fair() -> None:
    """What the bag has by chance must not decide a bet: the mean of what bets become shows it."""
    columns = [WatchedColumn("colour", "category"), WatchedColumn("rare", "number")]
    gains = []
    for seed in range(1_000):
        generator = np.random.default_rng([seed, 77])
        rows = _rows(45, generator).select(["colour"])
        rare = np.where(generator.random(45) < 0.1, np.nan, 1.0)
        rows = rows.append_column("rare", pa.array(rare))
        state = begin(rows.slice(0, 25), columns, seed=seed)
        state, _ = look(state, rows.slice(25), days=1.0)
        gains.append(np.exp(state.detector.log_r[[0, 3], -4:]))
    means, errors = np.mean(gains, axis=0), np.std(gains, axis=0) / np.sqrt(len(gains))
    assert (abs(means - 1) < 2.5 * errors).all()


def test_the_order_of_the_columns_changes_nothing() -> None:
    results = []
    for columns in (COLUMNS, COLUMNS[::-1]):
        generator = np.random.default_rng(2)
        state = begin(_rows(500, generator), columns, seed=2)
        state, _ = look(state, _rows(200, generator, _shift), days=1.0)
        results.append(look(state, _rows(200, generator, _shift), days=1.0)[1])
    assert results[0] == results[1]
    assert results[0].findings


def test_a_look_without_rows_changes_no_evidence() -> None:
    generator = np.random.default_rng(0)
    state = begin(_rows(100, generator), COLUMNS, seed=0)
    state, report = look(state, _rows(50, generator, _shift), days=1.0)
    state, idle = look(state, _rows(0, generator), days=1_000.0)
    assert idle.evidence == report.evidence > 0


def test_a_small_effect_with_much_evidence_is_no_alarm() -> None:
    def move(columns: dict[str, np.ndarray], generator: np.random.Generator) -> None:
        columns["size"] += 0.3

    generator = np.random.default_rng(8)
    state = begin(_rows(20_000, generator), COLUMNS, seed=8)
    for _ in range(5):
        state, report = look(state, _rows(2_000, generator, move), days=1.0)
    assert report.evidence > PERIOD
    assert not report.alarm(PERIOD, EFFECT)
    assert report.alarm(PERIOD, 0.02)


def test_after_an_alarm_the_new_rows_can_be_the_reference() -> None:
    generator = np.random.default_rng(4)
    state = begin(_rows(1_000, generator, _shift), COLUMNS, seed=4)
    for _ in range(20):
        state, report = look(state, _rows(100, generator, _shift), days=1.0)
        assert not report.alarm(PERIOD, EFFECT)


def test_a_season_is_a_change_only_if_it_is_not_declared() -> None:
    generator = np.random.default_rng(6)

    def day(number: int) -> tuple[pa.Table, np.ndarray]:
        rows = _rows(150, generator).to_pydict()
        rows["size"] = np.array(rows["size"]) + 4 * (number % 7 >= 5)
        return pa.table(rows), np.full(150, number % 7)

    days = [day(number) for number in range(28)]
    reference = pa.concat_tables([rows for rows, _ in days[:14]])
    codes = np.concatenate([strata for _, strata in days[:14]])
    alarms = {}
    for declared in (True, False):
        state = begin(reference, COLUMNS, seed=6, strata=codes if declared else None)
        alarms[declared] = 0
        for rows, strata in days[14:]:
            state, report = look(state, rows, days=1.0, strata=strata if declared else None)
            alarms[declared] += bool(report.alarm(PERIOD, EFFECT))
    assert alarms[True] == 0
    assert alarms[False] > 0


def test_a_change_within_a_season_is_found_and_compared_with_that_season() -> None:
    generator = np.random.default_rng(7)

    def day(number: int, moved: float = 0.0) -> tuple[pa.Table, np.ndarray]:
        rows = _rows(200, generator).to_pydict()
        rows["size"] = np.array(rows["size"]) + 40 * (number % 2) + moved
        return pa.table(rows), np.full(200, number % 2)

    past = [day(number) for number in range(10)]
    state = begin(
        pa.concat_tables([rows for rows, _ in past]),
        COLUMNS,
        seed=7,
        strata=np.concatenate([strata for _, strata in past]),
    )
    # A look of odd days only; without strata, nearly all of it is beyond the median.
    rows, strata = day(1)
    state, report = look(state, rows, days=1.0, strata=strata)
    assert not report.alarm(PERIOD, EFFECT)
    for _ in range(3):
        rows, strata = day(1, moved=2.0)
        state, report = look(state, rows, days=1.0, strata=strata)
    found = next(one for one in report.alarm(PERIOD, EFFECT) if one.column == "size")
    assert found.effect == pytest.approx(0.38, abs=0.1)
    assert found.words.startswith("median 3")


def test_columns_without_values_and_constant_ones_are_quiet_until_values_come() -> None:
    names = [
        WatchedColumn("empty", "number"),
        WatchedColumn("nameless", "category"),
        WatchedColumn("same", "category"),
    ]

    def rows(count: int, value: float | None) -> pa.Table:
        empty = pa.array([value] * count, pa.float64())
        same = pa.array(["x"] * count)
        return pa.table({"empty": empty, "nameless": pa.nulls(count), "same": same})

    state = begin(rows(100, None), names, seed=0)
    for _ in range(5):
        state, report = look(state, rows(100, float("nan")), days=1.0)
        assert not report.alarm(PERIOD, 0.0)
    for _ in range(2):
        state, report = look(state, rows(100, 3.0), days=1.0)
    [found] = report.alarm(PERIOD, EFFECT)
    assert (found.column, found.what) == ("empty", "missing")
    assert found.words.startswith("missing 100.0% → ")


def test_infinite_numbers_are_large_ones() -> None:
    def overflow(columns: dict[str, np.ndarray], generator: np.random.Generator) -> None:
        columns["size"][generator.random(len(columns["size"])) < 0.3] = np.inf

    _, reports = _watch(overflow, days=5)
    _, found = _first(reports, "size")
    assert found.effect == pytest.approx(0.3, abs=0.08)
    assert found.what == "values"


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"size": [1.0], "weight": [1.0], "colour": ["a"]}, "no column 'price'"),
        ({"size": [[1.0]], "weight": [1.0], "colour": ["a"], "price": [1.0]}, "not a number"),
        ({"size": ["x"], "weight": [1.0], "colour": ["a"], "price": [1.0]}, "not a number"),
    ],
)
def test_a_column_that_is_missing_or_of_another_kind_is_an_error(
    table: dict[str, list[object]], problem: str
) -> None:
    state = begin(_rows(100, np.random.default_rng(0)), COLUMNS, seed=0)
    with pytest.raises(DataError, match=problem):
        look(state, pa.table(table), days=1.0)


def test_days_and_strata_that_do_not_fit_are_errors() -> None:
    generator = np.random.default_rng(0)
    rows = _rows(100, generator)
    state = begin(rows, COLUMNS, seed=0)
    for days in (-1.0, float("nan"), float("inf")):
        with pytest.raises(DataError, match="days"):
            look(state, rows, days=days)
    with pytest.raises(DataError, match="with strata"):
        look(state, rows, days=1.0, strata=np.zeros(100, np.int64))
    with pytest.raises(DataError, match="for 100 rows"):
        begin(rows, COLUMNS, seed=0, strata=np.zeros(99, np.int64))
    with pytest.raises(DataError, match="at least 20 rows"):
        begin(rows.slice(0, 19), COLUMNS, seed=0)


def test_a_look_draws_rows_from_all_of_a_large_table() -> None:
    """The last tenth of the rows has changed."""
    generator = np.random.default_rng(9)
    state = begin(_rows(1_000, generator), COLUMNS, seed=9)
    rows = pa.concat_tables([_rows(90_000, generator), _rows(10_000, generator, _lose)])
    state, _ = look(state, rows, days=1.0)
    assert len(state.recent) == 2_000
    assert np.isnan(state.recent.values).any(axis=1).mean() == pytest.approx(0.015, abs=0.01)


def test_evidence_is_shared_by_role() -> None:
    state = begin(_rows(100, np.random.default_rng(0)), COLUMNS, seed=0)
    weights = dict(zip(["colour", "price", "size", "weight"], state.weights(), strict=False))
    assert weights == pytest.approx(
        {"colour": 0.4 / 3, "price": 0.2, "size": 0.4 / 3, "weight": 0.4 / 3}
    )
    assert state.weights().sum() == pytest.approx(1)
    alone = begin(_rows(100, np.random.default_rng(0)), COLUMNS[:1], seed=0)
    assert alone.weights() == pytest.approx([2 / 3, 1 / 3])
