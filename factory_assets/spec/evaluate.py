"""How a candidate is judged, and what it must reach before it may serve."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from factory_assets.spec.base import ColumnName, Columns, Spec, listed

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
) | (FAIRNESS - {"selection_rate_ratio"})


class Gate(Spec):
    """One condition on one metric; exactly one of the four comparisons."""

    metric: Metric
    """What is compared."""
    of: Literal["test", "folds"] = "test"
    """Whose metric: that of the test rows, or the mean over `evaluate.folds`."""
    at_least: float | int | None = None
    """The smallest value that passes."""
    at_most: float | int | None = None
    """The largest value that passes."""
    no_worse_than: Literal["champion"] | None = None
    """Passes while there is no champion; both are scored on the same test rows."""
    better_than: Literal["trivial", "linear"] | None = None
    """The baseline to beat: a constant guess, or logistic/ridge regression."""
    margin: Annotated[float, Field(ge=0)] = 0.0
    """With `no_worse_than`, how much worse is still allowed; with `better_than`, by how much."""

    @model_validator(mode="after")
    def _one_comparison(self) -> Self:
        given = [c for c in _COMPARISONS if getattr(self, c) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a gate needs exactly one of {', '.join(_COMPARISONS)}; has {given or 'none'}"
            )
        if self.of == "folds" and given[0] in ("no_worse_than", "better_than"):
            raise ValueError("a gate of the folds compares with a constant: at_least or at_most")
        if self.of == "folds" and self.metric in FAIRNESS:
            raise ValueError(f"{self.metric} is of the test rows; leave `of` out")
        return self

    @property
    def name(self) -> str:
        """The gate's name as a check: metric, whose it is, and comparison."""
        comparison = next(c for c in _COMPARISONS if getattr(self, c) is not None)
        other = self.no_worse_than or self.better_than
        whose = "folds" if self.of == "folds" else None
        return "_".join(filter(None, (self.metric, whose, comparison, other)))


_COMPARISONS = ("at_least", "at_most", "no_worse_than", "better_than")


Level = Annotated[float, Field(gt=0, le=100)]
Share = Annotated[float, Field(gt=0, le=1)]


class LastRow(Spec):
    """Judge only the last row of each unit, such as an engine's last cycle."""

    by: ColumnName
    """The column whose rows belong to one unit."""
    order: ColumnName
    """The column whose largest value marks the last row."""


class Asymmetry(Spec):
    """A sum over the judged rows in which an error costs `exp(size / scale) - 1`, by its side."""

    early: Annotated[float, Field(gt=0)] = 13.0
    """The scale of predictions below the truth."""
    late: Annotated[float, Field(gt=0)] = 10.0
    """The scale of predictions above it; smaller, where being late costs more."""


class Robustness(Spec):
    """How the headline holds out when the inputs of the test rows are disturbed; `{}` for this."""

    noise: Annotated[tuple[Level, ...], listed] = (0.1, 0.3, 1.0)
    """Noise on numbers: its standard deviation, as a share of that of the training rows."""
    missing: Annotated[tuple[Share, ...], listed] = (0.1, 0.3, 0.5)
    """The shares of values that are set missing."""
    repeats: Annotated[int, Field(ge=1, le=100)] = 3
    """How often each is drawn; the mean is told."""


class Influence(Spec):
    """Measure how well the influence of training rows foretells the model; `{}` for this. It trains
    on half of the rows once a subset and seed."""

    seeds: Annotated[int, Field(ge=1, le=10)] = 3
    """How many networks influence is averaged over, and from how many seeds a subset is trained."""
    subsets: Annotated[int, Field(ge=8, le=1000)] = 32
    """Random halves of the training rows."""
    rows: Annotated[int, Field(ge=1, le=1000)] = 20
    """Test rows on which it is measured."""
    at_least: Annotated[float, Field(ge=0, le=1)] = 0.3
    """The score below which no list of influential rows is shown."""


class Evaluate(Spec):
    """Judge the candidate on test rows that no other stage has used."""

    metric: Metric | None = None
    """The headline; by default average_precision, balanced_accuracy or rmse, by task."""
    gates: Annotated[tuple[Gate, ...], listed] = ()
    """What a candidate must reach to be deployed; each gate is a check in the UI."""
    slices: Columns = ()
    """Columns whose values are judged apart."""
    protected: Columns = ()
    """Two classes: columns such as sex, whose groups are compared by how decisions fall on them."""
    min_rows: Annotated[int, Field(ge=1)] = 30
    """Slices, and rates of groups, that rest on fewer rows are told to be too few."""
    bootstrap: Annotated[int, Field(ge=0, le=10_000)] = 200
    """Resamples for the 95 % intervals; fewer where the test rows are many, 0 for none."""
    folds: Annotated[int | None, Field(ge=2, le=50)] = None
    """Small data: also judge every row once, by a model trained anew without its fold. It trains
    that many times more."""
    importances: Annotated[int, Field(ge=0, le=100)] = 3
    """How often each input is shuffled, to see how much worse the headline gets; 0 for not."""
    robustness: Robustness | None = None
    """Also judge with noise on the inputs, and with values missing; not where left out."""
    influence: Influence | None = None
    """Also measure the influence of training rows; not where left out."""
    last: LastRow | None = None
    """Judge only the last row of each unit."""
    clip: float | int | None = None
    """Regression: also judge with the true values cut at this one, as `rmse_clipped`."""
    asymmetry: Asymmetry | None = None
    """Regression: also judge late and early predictions by different scales, against true values as
    they are, as `asymmetric_score`; `{}` for the scales of NASA's engine data."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [gate.name for gate in self.gates]
        if len(set(names)) < len(names):
            raise ValueError("two gates make the same comparison of the same metric; keep one")
        if self.folds is None and any(gate.of == "folds" for gate in self.gates):
            raise ValueError("a gate of the folds needs `folds`, such as 10")
        asked = {gate.metric for gate in self.gates} | {self.metric}
        if not self.protected and (unfair := sorted(FAIRNESS & asked)):
            raise ValueError(f"{unfair[0]} needs `protected`, the columns whose groups it compares")
        if "rmse_clipped" in asked and self.clip is None:
            raise ValueError("rmse_clipped needs `clip`, the value at which true values are cut")
        if "asymmetric_score" in asked and self.asymmetry is None:
            raise ValueError(
                "asymmetric_score needs `asymmetry`, such as {early: 13.0, late: 10.0}"
            )
        return self


class Deploy(Spec):
    """Export the candidate to ONNX, prove that it computes the same, and make it the champion."""

    max_difference: Annotated[float, Field(gt=0)] = 1e-4
    """The largest difference between the exported and the trained model's outputs on the test rows:
    of a probability, or of a prediction in standard deviations of the target."""
