"""Sets and intervals contain the truth of new rows as often as declared, for groups too."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from factory_assets.ml.artifacts.conformal import (
    conformal_quantile,
    fit_regions,
    region_intervals,
    region_sets,
    require_regions,
    undecided,
)
from factory_assets.ml.features.arrays import Arrays, RowWindows
from factory_assets.ml.features.features import Category, Features, Number
from factory_assets.ml.features.target import Target
from factory_assets.results.uncertainty import RegionBounds
from factory_assets.spec.uncertainty import Uncertainty
from factory_resources.errors import DeclarationError

SITES = ("north", "south")
CLASSES = ("a", "b", "c")
NUMBER = Target(column="y", task="regression", classes=(), mean=0.0, sd=2.0)
CLASS = Target(column="y", task="multiclass", classes=CLASSES, mean=0, sd=1)
HEAT = Number(name="heat", median=0, mean=0, sd=1, indicator=False)
OPEN = Number(name="open", median=0, mean=0, sd=1, indicator=False)
FEATURES = Features(
    numeric=(HEAT, OPEN),
    booleans=("open",),
    categorical=(
        Category(name="colour", vocabulary=("red",)),
        Category(name="site", vocabulary=SITES),
    ),
    constant=("same",),
    ignored=("when",),
)


def inputs(sites: NDArray[Any]) -> Arrays:
    """Rows of these sites: 0 for one that is not known, from 1 in the order of `SITES`."""
    codes = np.stack([np.zeros(len(sites), np.int64), sites], axis=1)
    return Arrays(np.zeros((len(sites), 1), np.float32), codes)


def fit(
    target: Target, truth: Any, outputs: Any, sites: Any = None, **declared: Any
) -> RegionBounds:
    given = np.zeros(len(truth), np.int64) if sites is None else sites
    uncertainty = Uncertainty(**declared)
    return fit_regions(uncertainty, FEATURES, target, inputs(given), truth, outputs)


def drawn_classes(rows: int, chance: np.random.Generator) -> tuple[Any, Any]:
    """Truth, and probabilities that are too sure of themselves."""
    logits = chance.normal(0, 1.5, (rows, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (chance.random(rows)[:, None] > shares.cumsum(axis=1)).sum(axis=1)
    sure = shares**3
    return truth, sure / sure.sum(axis=1, keepdims=True)


def drawn_numbers(rows: int, chance: np.random.Generator) -> tuple[Any, Any]:
    """Truth, and predictions whose errors grow with the number."""
    outputs = chance.uniform(0, 10, rows)
    return outputs + chance.standard_t(4, rows) * (0.2 + outputs / 5), outputs


def within_noise(shares: list[float], coverage: float, held_out: int, rows: int) -> None:
    """Require the mean of repetitions to be the coverage, up to four standard errors.

    The coverage of one repetition follows a beta distribution, its measurement a binomial one; in
    the mean it lies between the declared one and 1 / (held-out rows + 1) above it.
    """
    variance = coverage * (1 - coverage) * (1 / (held_out + 2) + 1 / rows)
    error = 4 * (variance / len(shares)) ** 0.5
    assert coverage - error <= np.mean(shares) <= coverage + 1 / (held_out + 1) + error


@pytest.mark.parametrize("rows", [9, 40, 200, 1000])
@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_sets_cover_new_rows_as_often_as_declared(rows: int, coverage: float) -> None:
    shares = []
    for seed in range(300):
        chance = np.random.default_rng(seed)
        bounds = fit(CLASS, *drawn_classes(rows, chance), coverage=coverage)
        truth, outputs = drawn_classes(200, chance)
        shares.append(float(region_sets(bounds, outputs, None)[np.arange(200), truth].mean()))
    within_noise(shares, coverage, rows, 200)


@pytest.mark.parametrize("rows", [9, 40, 90, 1000])
def test_intervals_cover_new_rows_as_often_as_declared(rows: int) -> None:
    shares = []
    for seed in range(300):
        chance = np.random.default_rng(seed)
        bounds = fit(NUMBER, *drawn_numbers(rows, chance))
        assert len(bounds.scales) == max(1, min(5, rows // 30))
        truth, outputs = drawn_numbers(200, chance)
        low, high = region_intervals(bounds, outputs, None).T
        shares.append(float(((low <= truth) & (truth <= high)).mean()))
    within_noise(shares, 0.9, rows, 200)


def test_intervals_are_wider_where_predictions_are_worse() -> None:
    bounds = fit(NUMBER, *drawn_numbers(2000, np.random.default_rng(0)))
    low, high = region_intervals(bounds, np.array([0.5, 9.5]), None).T
    assert (high - low)[1] > 3 * (high - low)[0]


@pytest.mark.parametrize("classes", [True, False])
def test_each_group_is_covered_by_its_own_bound(classes: bool) -> None:
    """In the south the model is worse; one bound for all would cover too few there."""
    shares: dict[str | None, list[float]] = {"north": [], "south": [], None: []}
    for seed in range(200):
        chance = np.random.default_rng(seed)
        found = []
        for rows in (300, 200):
            sites = np.where(np.arange(rows) % 3 == 0, 2, 1)
            if classes:
                truth, outputs = drawn_classes(rows, chance)
                truth[sites == 2] = chance.integers(0, 3, (sites == 2).sum())
            else:
                outputs = np.full(rows, 5.0)
                truth = outputs + chance.normal(0, np.where(sites == 2, 4, 1))
            found.append((truth, outputs, sites))
        (truth, outputs, sites), new = found
        target = CLASS if classes else NUMBER
        for by in ("site", None):
            bounds = fit(target, truth, outputs, sites, by=by)
            groups = np.array(["", *SITES], dtype=object)[new[2]] if by else None
            if classes:
                hit = region_sets(bounds, new[1], groups)[np.arange(200), new[0]]
            else:
                low, high = region_intervals(bounds, new[1], groups).T
                hit = (low <= new[0]) & (new[0] <= high)
            if by is None:
                shares[None].append(float(hit[new[2] == 2].mean()))
            else:
                for code, site in enumerate(SITES, 1):
                    shares[site].append(float(hit[new[2] == code].mean()))
    within_noise(shares["north"], 0.9, 200, 133)
    within_noise(shares["south"], 0.9, 100, 67)
    assert np.mean(shares[None]) < 0.8


def test_each_class_is_covered_however_rare() -> None:
    rare, whole = [], []
    for seed in range(200):
        chance = np.random.default_rng(seed)

        def draw(rows: int, chance: np.random.Generator = chance) -> tuple[Any, Any]:
            truth = (chance.random(rows) < 0.1).astype(np.int64) * 2
            score = 1 / (1 + np.exp(-(chance.normal(0, 1, rows) + truth - 3)))
            return truth, np.stack([1 - score, np.zeros(rows), score], axis=1)

        known, new = draw(600), draw(1000)
        for by, found in (("y", rare), (None, whole)):
            hit = region_sets(fit(CLASS, *known, by=by), new[1], None)[np.arange(1000), new[0]]
            found.append(float(hit[new[0] == 2].mean()))
    assert np.mean(rare) == pytest.approx(0.905, abs=0.015)
    assert np.mean(whole) < 0.5


@pytest.mark.parametrize(
    ("scores", "coverage", "bound"),
    [
        # The 9th of 9 is the least that .9 needs; the 10th of 11, not the last.
        (range(1, 10), "0.9", 9),
        (range(1, 9), "0.9", None),
        (range(1, 12), "0.9", 11),
        (range(1, 20), "0.9", 18),
        # 10 * 0.7 is 7 and not a little more.
        (range(1, 10), "0.7", 7),
        ([5, 5, 5, 5, 5, 5, 5, 5, 5], "0.9", 5),
        ([], "0.5", None),
    ],
)
def test_the_bound_is_a_quantile_of_one_row_more(
    scores: Any, coverage: str, bound: float | None
) -> None:
    found = conformal_quantile(np.array(scores, float), Fraction(coverage))
    assert found == (None if bound is None else pytest.approx(bound, abs=2e-5))


def test_equal_scores_are_all_within_the_bound_and_the_next_is_not() -> None:
    scores = np.array([0.1, 0.3, 0.3, 0.3, 0.3 + 1e-6, 0.9])
    bound = conformal_quantile(scores, Fraction("0.4"))
    assert bound is not None
    assert 0.3 < bound < 0.3 + 1e-6
    # As 32 bits write it, too.
    assert float(np.float32(0.3)) <= (conformal_quantile(scores[:4], Fraction("0.5")) or 0)


def test_too_few_rows_make_every_region_everything_and_say_so() -> None:
    truth, outputs = drawn_classes(8, np.random.default_rng(0))
    bounds = fit(CLASS, truth, outputs)
    assert region_sets(bounds, outputs, None).all()
    [line] = bounds.problems()
    assert line.startswith("uncertainty: 8 held-out rows are too few (a coverage of 0.9 takes 9)")
    numbers = fit(NUMBER, *drawn_numbers(8, np.random.default_rng(0)))
    assert np.isinf(region_intervals(numbers, np.zeros(2), None)).all()
    assert [*fit(NUMBER, *drawn_numbers(9, np.random.default_rng(0))).problems()] == []


def test_a_group_with_too_few_rows_has_the_bound_of_all_and_says_so() -> None:
    truth, outputs = drawn_numbers(40, np.random.default_rng(0))
    sites = np.where(np.arange(40) < 5, 2, 1)
    bounds = fit(NUMBER, truth, outputs, sites, by="site")
    assert [one.rows for one in bounds.groups] == [35, 5]
    [line] = bounds.problems()
    assert "site = south has 5 held-out rows (a coverage of 0.9 takes 9)" in line
    [*_, last] = bounds.model_copy(update={"groups": (bounds.groups[1],) * 5}).problems()
    assert last == "uncertainty: 2 more of site have too few, and the bound of all rows"
    of = np.array(["south", "", "east", "north"], dtype=object)
    low, high = region_intervals(bounds, np.full(4, 5.0), of).T
    widths = high - low
    assert widths[0] == widths[1] == widths[2] != widths[3]


def test_series_have_the_group_of_the_last_row_of_their_window() -> None:
    truth, outputs = drawn_numbers(30, np.random.default_rng(0))
    layout = inputs(np.repeat([1, 2], [40, 20]))
    ends = np.concatenate([np.arange(20), np.arange(40, 50)])
    windows = RowWindows(ends, np.ones(30, np.int64), 3)
    given = Arrays(layout.numbers, layout.codes, windows)
    declared = Uncertainty(by="site")
    bounds = fit_regions(declared, FEATURES, NUMBER, given, truth, outputs)
    assert [(one.group, one.rows) for one in bounds.groups] == [("north", 20), ("south", 10)]


@pytest.mark.parametrize("error", [100, 1e6])
def test_the_usual_distance_of_a_held_out_row_is_that_of_the_others(error: float) -> None:
    """So a large error does not hide itself, as that of a new row cannot."""
    outputs = np.arange(60.0)
    truth = outputs + 1
    truth[40] += error
    bounds = fit(NUMBER, truth, outputs, coverage=0.98)
    assert len(bounds.edges) == 1
    assert bounds.bound
    assert bounds.bound == pytest.approx((error + 1) / (1 + 0.1 * (error / 60 + 1)), rel=1e-6)


@pytest.mark.parametrize("rows", [50, 150])
def test_predictions_without_errors_have_intervals_without_width(rows: int) -> None:
    exact = np.linspace(0, 1e-6, rows)
    bounds = fit(NUMBER, exact, exact)
    low, high = region_intervals(bounds, exact, None).T
    assert ((low <= exact) & (exact <= high) & (high - low < 1e-4)).all()
    tiny = fit(NUMBER.model_copy(update={"sd": 1e-9}), exact, exact)
    assert np.diff(region_intervals(tiny, exact[:1], None)).item() < 1e-12
    same = fit(NUMBER, np.arange(50.0), np.full(50, 7.0))
    assert same.edges == ()


@pytest.mark.parametrize(("counts", "edges"), [((30, 60, 60), 2), ((30, 100, 20), 1)])
def test_cuts_among_equal_predictions_make_no_empty_bin(
    counts: tuple[int, ...], edges: int
) -> None:
    outputs = np.repeat([1.0, 5.0, 9.0], counts)
    truth = outputs + np.random.default_rng(5).normal(0, outputs)
    bounds = fit(NUMBER, truth, outputs)
    assert len(bounds.edges) == edges
    assert np.isfinite(bounds.scales).all()
    assert RegionBounds.model_validate_json(bounds.model_dump_json()) == bounds
    low, high = region_intervals(bounds, outputs, None).T
    assert ((low <= truth) & (truth <= high)).mean() >= 0.9


def test_a_column_with_one_value_has_no_groups_and_is_not_asked_of_a_row() -> None:
    truth, outputs = drawn_numbers(40, np.random.default_rng(6))
    bounds = fit(NUMBER, truth, outputs, by="same")
    assert (bounds.by, bounds.column, bounds.groups) == (None, None, ())


def test_a_tiny_unit_of_the_target_does_not_widen_its_intervals() -> None:
    truth, outputs = drawn_numbers(20, np.random.default_rng(3))
    usual = fit(NUMBER, truth, outputs)
    tiny = fit(NUMBER.model_copy(update={"sd": 2e-9}), truth * 1e-9, outputs * 1e-9)
    one, other = (np.diff(region_intervals(b, np.zeros(1), None))[0, 0] for b in (usual, tiny))
    assert other == pytest.approx(one * 1e-9)


def test_a_set_without_exactly_one_class_is_undecided() -> None:
    sets = np.array([[True, False], [True, True], [False, False]])
    assert undecided(sets).tolist() == [False, True, True]


@pytest.mark.parametrize("declared", [True, False])
def test_a_model_abstains_if_that_is_declared(declared: bool) -> None:
    drawn = drawn_classes(20, np.random.default_rng(0))
    assert fit(CLASS, *drawn, abstain=declared).abstain is declared


def test_what_is_stored_reads_back_the_same() -> None:
    truth, outputs = drawn_numbers(400, np.random.default_rng(0))
    sites = np.arange(400) % 2 + 1
    bounds = fit(NUMBER, truth, outputs, sites, by="site")
    again = RegionBounds.model_validate_json(bounds.model_dump_json())
    assert again == bounds
    groups = np.array(["", *SITES], dtype=object)[sites]
    given = [region_intervals(one, outputs, groups).tobytes() for one in (bounds, again)]
    assert given[0] == given[1]


@pytest.mark.parametrize(
    ("target", "declared", "line"),
    [
        (NUMBER, {"abstain": True}, "abstain: only a decision between classes can abstain"),
        (NUMBER, {"by": "y"}, "by: 'y' is the target, and a number"),
        (CLASS, {"by": "heat"}, "by: input 'heat' is a number, and groups need names"),
        (CLASS, {"by": "open"}, r"'open' is read as 0 and 1, .* in train.categorical: \[open\]"),
        (CLASS, {"by": "when"}, "by: 'when' is not a categorical input"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    target: Target, declared: dict[str, Any], line: str
) -> None:
    with pytest.raises(DeclarationError, match=line) as caught:
        require_regions(Uncertainty(**declared), FEATURES, target)
    assert str(caught.value).startswith("train.uncertainty.")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("by", ["site", "same", "y", None])
def test_what_fits_is_accepted(by: str | None) -> None:
    require_regions(Uncertainty(by=by), FEATURES, CLASS)
    require_regions(None, FEATURES, CLASS)
