"""The `evaluate` section: how a candidate is judged, and what it must reach to be deployed.

Computing metrics belongs in `ml.metrics`, judging gates in `ml.evaluation`.
"""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)

from factory_assets.spec.base import (
    STORED,
    ColumnName,
    Columns,
    Number,
    Resources,
    Spec,
    is_unset,
    listed,
    switched_off,
)

CoverageMetric = Literal[
    "coverage", "set_size", "interval_width", "abstention_rate", "selective_accuracy"
]
"""Metrics of the sets and intervals of `train.uncertainty`."""
COVERAGE_METRICS: frozenset[str] = frozenset(get_args(CoverageMetric))

Metric = Literal[
    "average_precision",
    "roc_auc",
    "log_loss",
    "brier",
    "ece",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "precision",
    "recall",
    "rmse",
    "mae",
    "r2",
    "rmse_clipped",
    "asymmetric_score",
    "selection_rate_difference",
    "selection_rate_ratio",
    "equal_opportunity_difference",
    "false_positive_rate_difference",
]
METRICS: tuple[str, ...] = get_args(Metric)
FAIRNESS: frozenset[str] = frozenset(
    {
        "selection_rate_difference",
        "selection_rate_ratio",
        "equal_opportunity_difference",
        "false_positive_rate_difference",
    }
)
"""Metrics that compare the groups of `evaluate.protected`."""
LOWER_IS_BETTER = frozenset(
    {"log_loss", "brier", "ece", "rmse", "mae", "rmse_clipped", "asymmetric_score"}
    | {"set_size", "interval_width", "abstention_rate"}
) | (FAIRNESS - {"selection_rate_ratio"})

_NO_SHARES = frozenset({"log_loss", "brier", "rmse", "mae", "r2", "rmse_clipped"}) | frozenset(
    {"asymmetric_score", "set_size", "interval_width"}
)
"""Metrics that are not limited to 0 to 1."""


class Gate(Spec):
    """A condition on one metric, with exactly one comparison.

    The comparisons are `at_least`, `at_most`, `no_worse_than` and `better_than`.
    """

    metric: Metric | CoverageMetric
    """The metric that is compared, such as `roc_auc`."""
    group: Annotated[str | None, Field(min_length=1, exclude_if=is_unset)] = None
    """With `coverage`: of which value of `train.uncertainty.by`. Default: of all rows."""
    of: Literal["test", "folds"] = "test"
    """Which value of the metric is compared: that on the test rows, or the mean over
    `evaluate.folds`. `folds` takes `at_least` or `at_most` only."""
    at_least: Number | None = None
    """The smallest value that passes, such as `0.8`."""
    at_most: Number | None = None
    """The largest value that passes, such as `0.1`."""
    no_worse_than: Literal["champion"] | None = None
    """`champion`: the candidate must not be worse than the deployed model on the same test rows, by
    more than chance explains. Passes while there is no champion."""
    better_than: Literal["trivial", "linear"] | None = None
    """The baseline to beat: `trivial` is a constant guess, `linear` a logistic or ridge
    regression."""
    margin: Annotated[float, Field(ge=0)] = 0.0
    """With `no_worse_than`: how much worse the metric may be. With `better_than`: by how much it
    must be better."""

    @model_validator(mode="after")
    def _one_comparison(self) -> Self:
        given = [c for c in _COMPARISONS if getattr(self, c) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a gate needs exactly one of {', '.join(_COMPARISONS)}; "
                f"it has {', '.join(given) or 'none'}"
            )
        if self.of == "folds" and given[0] in ("no_worse_than", "better_than"):
            raise ValueError(
                "a gate with `of: folds` compares with a constant; use at_least or at_most"
            )
        if self.group and self.metric != "coverage":
            raise ValueError("`group` goes with `metric: coverage` only")
        if self.of == "folds" and self.metric in FAIRNESS | COVERAGE_METRICS:
            raise ValueError(f"{self.metric} is computed on the test rows only; leave `of` out")
        return self

    @model_validator(mode="after")
    def _comparison_makes_sense(self, info: ValidationInfo) -> Self:
        # What was stored before this was refused is still read.
        if info.context == STORED:
            return self
        if self.margin and (self.at_least is not None or self.at_most is not None):
            raise ValueError(
                "`margin` goes with `no_worse_than` and `better_than`; change the constant instead"
            )
        limit = self.at_least if self.at_least is not None else self.at_most
        if limit is not None and self.metric not in _NO_SHARES and not 0 <= limit <= 1:
            raise ValueError(f"{self.metric} lies between 0 and 1; compare it with such a number")
        if self.better_than == "trivial" and self.metric in COVERAGE_METRICS:
            raise ValueError(
                f"a trivial guess has no {self.metric}; compare with a constant by at_least or "
                "at_most"
            )
        return self

    @property
    def name(self) -> str:
        """The gate's name as a check: metric, `folds` if it is their mean, and comparison."""
        comparison = next(c for c in _COMPARISONS if getattr(self, c) is not None)
        other = self.no_worse_than or self.better_than
        whose = "folds" if self.of == "folds" else None
        return "_".join(filter(None, (self.measured, whose, comparison, other)))

    @property
    def measured(self) -> str:
        """The name of the value that is compared: the metric, of a group if one is named."""
        return f"{self.metric}_{self.group}" if self.group else self.metric


_COMPARISONS = ("at_least", "at_most", "no_worse_than", "better_than")

CHAMPION_GATE = "no_worse_than_champion"
"""The name of the gate that holds by default, on the primary metric."""


class ChampionGateOff(Spec):
    """Lets a candidate replace a champion that is better, which no candidate may do by default."""

    champion: Annotated[Literal["off"], switched_off]
    """`off`: the primary metric may be worse than that of the deployed model on the same test
    rows."""


def _gate_kind(value: Any) -> str:
    given = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return "champion" if "champion" in given else "gate"


def _one_or_several(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (value,) if _is_one(value) else value


def _is_one(value: Any) -> bool:
    return isinstance(value, dict | Gate | ChampionGateOff)


GateEntry = Annotated[
    Annotated[Gate, Tag("gate")] | Annotated[ChampionGateOff, Tag("champion")],
    Discriminator(_gate_kind),
]
"""What `gates` may list: conditions, and the switch of the one that holds by default."""


Level = Annotated[float, Field(gt=0, le=100)]
Share = Annotated[float, Field(gt=0, le=1)]


class LastRow(Spec):
    """Judge only the last row of each unit, such as an engine's last cycle."""

    by: ColumnName
    """The column whose equal values form one unit, such as `engine`."""
    order: ColumnName
    """The column whose largest value marks the last row of a unit, such as `cycle`."""


class Asymmetry(Spec):
    """The scales of `asymmetric_score`, which weighs errors by their side.

    It is the sum over the judged rows of `exp(size / scale) - 1`, where size is that of the error.
    """

    early: Annotated[float, Field(gt=0)] = 13.0
    """The scale of predictions below the true value."""
    late: Annotated[float, Field(gt=0)] = 10.0
    """The scale of predictions above the true value. Make it smaller than `early` if these errors
    cost more."""


class Robustness(Spec):
    """How the primary metric changes when the inputs of the test rows are disturbed.

    `robustness: {}` uses the defaults.
    """

    noise: Annotated[tuple[Level, ...], listed] = (0.1, 0.3, 1.0)
    """Levels of normal noise that is added to numbers. A level is the standard deviation of the
    noise, as a share of that of the training rows: 0.1 is 10 %."""
    missing: Annotated[tuple[Share, ...], listed] = (0.1, 0.3, 0.5)
    """The shares of the input values (above 0, up to 1) that are set missing."""
    repeats: Annotated[int, Field(ge=1, le=100)] = 3
    """How often each disturbance is drawn; the mean is reported."""


class Influence(Spec):
    """How well the influence of training rows predicts the outputs of the model.

    `influence: {}` uses the defaults. It trains on half of the rows once for each subset and seed.
    """

    seeds: Annotated[int, Field(ge=1, le=10)] = 3
    """How many networks the influence is averaged over, and with how many seeds each subset is
    trained."""
    subsets: Annotated[int, Field(ge=8, le=1000)] = 32
    """How many random halves of the training rows are trained on."""
    rows: Annotated[int, Field(ge=1, le=1000)] = 20
    """The number of test rows, drawn at random, on which it is measured."""
    at_least: Annotated[float, Field(ge=0, le=1)] = 0.3
    """The score (0 to 1) below which no list of influential rows is shown."""


class AnswersToCompare(Spec):
    """How the candidate is compared with the champion on answers whose outcomes are known."""

    newest: Annotated[int, Field(ge=0, le=100_000)] = 5_000
    """How many answers at most, the newest ones; 0 compares on the test rows only."""
    at_least: Annotated[int, Field(ge=30)] = 200
    """With fewer answers, there is no verdict from them."""


def _is_default(value: Any) -> bool:
    """Leave out what a declaration without it means, as from before it could be declared."""
    return bool(value == AnswersToCompare())


class Evaluate(Spec):
    """How the candidate is judged, on test rows that no other stage has used."""

    metric: Metric | None = None
    """The primary metric. Default: `average_precision` for two classes, `balanced_accuracy` for
    several, `rmse` for numbers."""
    gates: Annotated[
        tuple[GateEntry, ...],
        BeforeValidator(_one_or_several, json_schema_input_type=GateEntry | tuple[GateEntry, ...]),
    ] = ()
    """The conditions that a candidate must meet to be deployed, such as
    `[{metric: roc_auc, at_least: 0.8}]`; each is a check in the UI. Unless one of them compares
    with the champion, the primary metric must also be no worse than the champion's;
    `{champion: off}` leaves that out. Default: this condition alone."""
    slices: Columns = ()
    """Columns, such as `site`: the metrics are also computed for each of their values."""
    protected: Columns = ()
    """For two classes: columns such as `sex`, whose groups are compared by their shares of positive
    decisions: of all rows, of truly positive and of truly negative ones."""
    min_rows: Annotated[int, Field(ge=1)] = 30
    """The fewest rows for the metrics of a slice and the rates of a group; with fewer, they are
    reported as too few."""
    bootstrap: Annotated[int, Field(ge=0, le=10_000)] = 200
    """How many resamples the intervals are computed from; with many test rows there are fewer. 0
    computes no intervals, and the champion is compared without regard to chance."""
    folds: Annotated[int | None, Field(ge=2, le=50)] = None
    """For small data: also judge every row once, by a model that is trained without the row's fold.
    It trains one more model for each fold. Default: no folds."""
    importances: Annotated[int, Field(ge=0, le=100)] = 3
    """How often each input is shuffled, to measure how much worse the primary metric gets; 0 leaves
    it out."""
    robustness: Robustness | None = None
    """Also judge with noise on the inputs, and with values missing; `{}` uses the defaults.
    Default: not measured."""
    influence: Influence | None = None
    """Also measure the influence of training rows; `{}` uses the defaults. Default: not
    measured."""
    answers: Annotated[AnswersToCompare, Field(exclude_if=_is_default)] = AnswersToCompare()
    """The newest answers with outcomes, on which the candidate must not be worse than the champion
    either, by the same gates."""
    last: LastRow | None = None
    """Judge only the last row of each unit, such as an engine's last cycle. Default: judge every
    row."""
    clip: Number | None = None
    """For regression: also judge with true values above this number cut to it, as the metric
    `rmse_clipped`. Predictions are not cut."""
    asymmetry: Asymmetry | None = None
    """For regression: also judge predictions below and above the true value by different scales, as
    the metric `asymmetric_score`. It ignores `clip`. `{}` uses the scales of NASA's engine data."""
    resources: Annotated[Resources | None, Field(exclude_if=is_unset)] = None
    """What one process of this stage needs, such as `{memory: 8 GB, gpus: 1}`. Default: not
    known."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [gate.name for gate in self.conditions]
        if len(set(names)) < len(names):
            raise ValueError("two gates make the same comparison of the same metric; keep one")
        if len(self.gates) > len(names) and any(gate.no_worse_than for gate in self.conditions):
            raise ValueError(
                "gates: `champion: off` contradicts a gate with `no_worse_than: champion`; keep one"
            )
        if self.folds is None and any(gate.of == "folds" for gate in self.conditions):
            raise ValueError("a gate with `of: folds` needs `folds`, such as 10")
        used = {gate.metric for gate in self.conditions} | {self.metric}
        if not self.protected and (unfair := sorted(FAIRNESS & used)):
            raise ValueError(f"{unfair[0]} needs `protected`, the columns whose groups it compares")
        if "rmse_clipped" in used and self.clip is None:
            raise ValueError(
                "rmse_clipped needs `clip`, the value at which true values are cut, such as 125"
            )
        if "asymmetric_score" in used and self.asymmetry is None:
            raise ValueError(
                "asymmetric_score needs `asymmetry`, such as {early: 13.0, late: 10.0}"
            )
        return self

    @property
    def conditions(self) -> tuple[Gate, ...]:
        """The declared gates, without the switch of the default one."""
        return tuple(gate for gate in self.gates if isinstance(gate, Gate))

    @property
    def guards_champion(self) -> bool:
        """Whether the default gate holds: it is not switched off, and no other replaces it."""
        return all(isinstance(gate, Gate) and not gate.no_worse_than for gate in self.gates)
