"""The result of evaluate: the metrics of a candidate on the test set, and what explains them."""

from hashlib import sha256
from statistics import fmean, stdev
from typing import Annotated, Literal

from pydantic import Field

from factory_assets.results.base import StageResult
from factory_assets.results.model import Candidate
from factory_assets.spec.base import is_unset
from factory_assets.spec.evaluate import LOWER_IS_BETTER
from factory_resources.tables.snapshot import Snapshot


class MetricDifference(StageResult):
    """How much larger a metric is for the candidate than for another model, on the same rows."""

    value: float
    low: float
    """The lower end of the 90 % interval of a paired bootstrap."""
    high: float
    rows: int


class GateResult(StageResult):
    """Whether a candidate passed one gate."""

    name: str
    metric: str
    value: float
    bound: float | None
    passed: bool
    explanation: str
    difference: Annotated[MetricDifference | None, Field(exclude_if=is_unset)] = None
    """To the champion, on the test rows; None if the gate compares with something else, or no
    interval is known."""
    on_answers: Annotated[MetricDifference | None, Field(exclude_if=is_unset)] = None
    """To the champion, on answers whose outcomes are known."""


class Slice(StageResult):
    """Metrics on the judged rows with one value of a column."""

    column: str
    value: str
    rows: int
    metrics: dict[str, float]
    """Empty if there are too few rows."""


class GroupRate(StageResult):
    """The share of some rows that the model decided to be positive."""

    value: float
    low: float
    high: float
    """Upper end of the 95 % Wilson interval, which begins at `low`."""
    rows: int
    """Number of rows that the share is of."""


class Group(StageResult):
    """The decisions about one group of a protected column."""

    column: str
    value: str
    rows: int
    rates: dict[str, GroupRate]
    """Rates that are based on enough rows."""


class Importance(StageResult):
    """How much the primary metric worsens if one input is shuffled."""

    column: str
    mean: float
    sd: float
    """Over the repeats."""


class Importances(StageResult):
    """Permutation importance: which inputs the model relies on."""

    metric: str
    rows: int
    """Number of judged rows that were drawn for the measurement."""
    repeats: int
    inputs: int
    """Number of all inputs."""
    columns: tuple[Importance, ...]
    """The most important inputs, in descending order."""


class Disturbed(StageResult):
    """The primary metric on disturbed inputs."""

    kind: Literal["noise", "missing"]
    level: float
    """Noise in standard deviations of the training rows, or the share of missing values."""
    mean: float
    sd: float
    """Over the repeats."""


class FoldMetric(StageResult):
    """One metric of cross-validation."""

    values: tuple[float | None, ...]
    """Value of each fold; None if the metric is undefined on its rows."""
    pooled: float | None
    """Value on all rows together, each predicted by the model of its own fold."""

    @property
    def defined(self) -> list[float]:
        return [value for value in self.values if value is not None]

    @property
    def mean(self) -> float | None:
        return fmean(self.defined) if self.defined else None

    @property
    def sd(self) -> float | None:
        """Standard deviation between the folds.

        It is not a standard error of the mean, as the folds share training rows.
        """
        return stdev(self.defined) if len(self.defined) > 1 else None


class Folds(StageResult):
    """Cross-validation: every row is judged once, by a model that was trained without its fold."""

    count: int
    rows: int
    """Number of judged rows."""
    metrics: dict[str, FoldMetric]

    @property
    def means(self) -> dict[str, float]:
        means = {name: metric.mean for name, metric in self.metrics.items()}
        return {name: mean for name, mean in means.items() if mean is not None}


class Variant(StageResult):
    """One method of estimating the influence of training rows."""

    by: Literal["gradients", "trees", "members", "inputs", "leaves"]
    """`inputs` takes the distance between rows, and `leaves`, of results from before there was
    `trees`, that between their leaves. `members` adds up the effects on the members of a blend."""
    amount: float
    """The damping of gradients in units of the largest curvature, if there are any; the number of
    neighbours; otherwise 0."""


class InfluenceQuality(StageResult):
    """How well estimated effects predict the outputs of models trained on half of the rows."""

    variant: Variant
    """Chosen on validation rows."""
    reach: str
    """What effects are estimated from: all parameters, the last layer, the leaves of trees, or
    nearest neighbours; of a blend, several of them."""
    seeds: int
    """Number of networks whose effects are averaged."""
    subsets: int
    """Number of random halves of the training rows behind the score."""
    rows: int
    """Number of judged rows behind the score."""
    trainings: int
    """Number of trainings that the measurement took."""
    score: float
    """Linear datamodelling score: 1 is perfect, 0 is chance."""
    ceiling: float
    """Score of perfect effects, which is below 1 because training seeds differ too."""
    at_least: float
    """The score from which effects of single rows are listed."""
    digest: str | None
    """SHA-256 of the manifest of the additional networks; None if there are none."""

    @property
    def believed(self) -> bool:
        return self.score >= self.at_least


class ChampionComparison(StageResult):
    """The test rows on which candidate and champion were compared, and how good both were.

    Not all of them: the others are rows that one of both has learned from, and the other has not.
    """

    rows: int
    judged: int
    """All judged test rows."""
    metrics: dict[str, float]
    """Of the candidate."""
    champion: dict[str, float]

    @property
    def line(self) -> str:
        """What was compared, and why no more."""
        return (
            f"compared with the champion on {self.rows:,} of {self.judged:,} test rows: "
            "only one of both has learned from the others"
        )


class AnswersCompared(StageResult):
    """On which answers candidate and champion were compared, and how good both were."""

    chosen: int
    """How many were chosen."""
    digest: str
    """SHA-256 of their ids and outcomes."""
    ends: tuple[str, str] | None
    """The ids of the first and the last one; None without any."""
    rows: int = 0
    """How many of them were compared; the others could not be scored."""
    reason: str = ""
    """Why there is no verdict from them; empty if there is one."""
    metrics: dict[str, float] = {}
    """Of the candidate."""
    champion: dict[str, float] = {}

    @property
    def line(self) -> str:
        """What was compared, or why nothing was."""
        if self.reason:
            return f"no verdict from {self.chosen:,} new answers with outcomes: {self.reason}"
        return f"also compared on {self.rows:,} new answers with outcomes"


FEWEST_TEST_ROWS = 10
"""With fewer, resamples of the rows are too much alike to show what chance does: a guess gets two
or three rows right often enough."""


class EvaluationResult(StageResult):
    """The evaluation of one candidate on the test set."""

    candidate: Candidate
    headline: str
    """Name of the primary metric."""
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    """95 % bootstrap intervals of some metrics."""
    baselines: dict[str, dict[str, float]]
    """Metrics of the baselines `trivial` and `linear` on the same rows."""
    champion: dict[str, float] | None
    """Metrics of the champion at that time, on the same rows; None if it has learned from some."""
    champion_version: int | None
    gates: tuple[GateResult, ...]
    slices: tuple[Slice, ...]
    predictions: Snapshot
    """Identity, truth and outputs of every judged test row."""
    pictures: dict[str, str]
    """Title of each picture to the path of its PNG below the pictures of the home."""
    groups: tuple[Group, ...] = ()
    """Groups of the protected columns."""
    importances: Importances | None = None
    """None if they are not declared."""
    robustness: tuple[Disturbed, ...] = ()
    influence: InfluenceQuality | None = None
    """None if it is not declared."""
    at_half: dict[str, float] = {}
    """Two classes: the metrics of decisions if the threshold were .5."""
    folds: Folds | None = None
    """Cross-validation over all rows, in addition to the test; None if it is not declared."""
    answers: Annotated[AnswersCompared | None, Field(exclude_if=is_unset)] = None
    """None if no outcome is known, or there is no champion."""
    compared: Annotated[ChampionComparison | None, Field(exclude_if=is_unset)] = None
    """None if candidate and champion were compared on all judged rows, or were not compared."""
    over_trivial: Annotated[MetricDifference | None, Field(exclude_if=is_unset)] = None
    """The primary metric minus that of a constant guess; None if it is not known."""

    @property
    def data_version(self) -> str:
        # Results from before `at_half` was recorded keep their data version.
        later: dict[str, set[str] | bool] = {"candidate": {"provenance"}}
        if not self.at_half:
            later["at_half"] = True
        return sha256(self.model_dump_json(exclude=later).encode()).hexdigest()

    @property
    def passed(self) -> bool:
        return all(gate.passed for gate in self.gates)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know before they rely on it, though no gate failed by it."""
        return tuple(filter(None, (self.majority_warning, self.chance_warning)))

    @property
    def majority_warning(self) -> str | None:
        """What to know if fewer decisions are right than if all were the most frequent class."""
        mine = self.metrics.get("accuracy")
        constant = self.baselines.get("trivial", {}).get("accuracy")
        if mine is None or constant is None or mine >= constant:
            return None
        return (
            f"{mine:.1%} of the decisions are right; always the most frequent class of the "
            f"training rows would be right for {constant:.1%}"
        )

    @property
    def chance_warning(self) -> str | None:
        """What to know if chance may explain why the candidate is better than a constant guess."""
        rows = self.predictions.rows
        if rows < FEWEST_TEST_ROWS:
            return (
                f"{rows:,} test rows are too few to tell whether {self.headline} is better than "
                "that of a constant guess"
            )
        found = self.over_trivial
        if found is None:
            return None
        if found.high < 0 if self.headline in LOWER_IS_BETTER else found.low > 0:
            return None
        return (
            f"on these {found.rows:,} rows, {self.headline} is not shown to be better than that of "
            f"a constant guess: the difference is {found.value:+.3g}, its 90 % interval "
            f"{found.low:+.3g} to {found.high:+.3g}"
        )
