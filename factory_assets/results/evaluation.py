"""What evaluate hands on: what the test rows say of one candidate."""

from statistics import fmean, stdev
from typing import Literal

from factory_assets.results.base import StageResult
from factory_assets.results.model import Candidate
from factory_resources.tables.snapshot import Snapshot


class GateResult(StageResult):
    name: str
    metric: str
    value: float
    bound: float | None
    passed: bool
    explanation: str


class Slice(StageResult):
    column: str
    value: str
    rows: int
    metrics: dict[str, float]
    """None where the rows are too few."""


class GroupRate(StageResult):
    """The share of some rows that was decided positive."""

    value: float
    low: float
    high: float
    """The 95 % interval of Wilson."""
    rows: int
    """Of which it is the share."""


class Group(StageResult):
    """How decisions fell on one group of a protected column."""

    column: str
    value: str
    rows: int
    rates: dict[str, GroupRate]
    """Those that rest on rows enough."""


class Importance(StageResult):
    """How much of the headline is lost where one input is shuffled."""

    column: str
    mean: float
    sd: float
    """Over the repeats."""


class Importances(StageResult):
    """Which inputs the model rests on."""

    metric: str
    rows: int
    """Of the judged ones, drawn by chance."""
    repeats: int
    inputs: int
    """How many there are."""
    columns: tuple[Importance, ...]
    """Those that matter most, in order."""


class Disturbed(StageResult):
    """The headline where inputs are disturbed."""

    kind: Literal["noise", "missing"]
    level: float
    """Of noise in training standard deviations, or the share of missing values."""
    mean: float
    sd: float
    """Over the repeats."""


class FoldMetric(StageResult):
    """One metric of cross-validation."""

    values: tuple[float | None, ...]
    """Of each fold; None where its rows do not define the metric."""
    pooled: float | None
    """Of all rows at once, each with what the model of its own fold said."""

    @property
    def defined(self) -> list[float]:
        return [value for value in self.values if value is not None]

    @property
    def mean(self) -> float | None:
        return fmean(self.defined) if self.defined else None

    @property
    def sd(self) -> float | None:
        """Between the folds; no standard error of the mean, as the folds share training rows."""
        return stdev(self.defined) if len(self.defined) > 1 else None


class Folds(StageResult):
    """Cross-validation: every row judged once, by a model that was trained without its fold."""

    count: int
    rows: int
    """How many were judged."""
    metrics: dict[str, FoldMetric]

    @property
    def means(self) -> dict[str, float]:
        found = {name: metric.mean for name, metric in self.metrics.items()}
        return {name: mean for name, mean in found.items() if mean is not None}


class Variant(StageResult):
    """One way of telling what training rows did."""

    by: Literal["gradients", "inputs", "leaves"]
    """`inputs` and `leaves`: between what rows the distance is taken."""
    amount: float
    """The damping, in units of the largest curvature, or the number of neighbours."""


class InfluenceQuality(StageResult):
    """How well effects of training rows foretell what the model says when half of them are gone."""

    variant: Variant
    """Chosen on validation rows."""
    reach: str
    """What effects are told from: all parameters, the last layer, or nearest neighbours."""
    seeds: int
    """How many networks effects are averaged over."""
    subsets: int
    """Halves of the training rows that the score is of."""
    rows: int
    """Judged rows that it is of."""
    trainings: int
    """How many it took."""
    score: float
    """Linear datamodelling score: 1 is perfect, 0 is chance."""
    ceiling: float
    """What perfect effects would score, as seeds differ too."""
    at_least: float
    """The score from which effects of single rows are listed."""
    digest: str | None
    """SHA-256 of the manifest of the further networks; None where there are none."""

    @property
    def believed(self) -> bool:
        return self.score >= self.at_least


class EvaluationResult(StageResult):
    """What the test rows say of one candidate."""

    candidate: Candidate
    headline: str
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    """95 % bootstrap intervals of some metrics."""
    baselines: dict[str, dict[str, float]]
    """`trivial` and `linear` to their metrics on the same rows."""
    champion: dict[str, float] | None
    """The metrics of the champion of that moment on the same rows."""
    champion_version: int | None
    gates: tuple[GateResult, ...]
    slices: tuple[Slice, ...]
    predictions: Snapshot
    """Identity, truth and outputs of every judged test row."""
    pictures: dict[str, str]
    """Title to the PNG's path below the home's pictures."""
    groups: tuple[Group, ...] = ()
    """Of the protected columns."""
    importances: Importances | None = None
    """None where they are not asked for."""
    robustness: tuple[Disturbed, ...] = ()
    influence: InfluenceQuality | None = None
    """None where it is not asked for."""
    folds: Folds | None = None
    """Cross-validation over all rows, beside the test; None where it is not declared."""

    @property
    def passed(self) -> bool:
        return all(gate.passed for gate in self.gates)
