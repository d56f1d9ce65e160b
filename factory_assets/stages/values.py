"""What one stage hands to the next.

Frozen, small, JSON; the data itself stays in snapshots and MLflow.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from itertools import accumulate
from statistics import fmean, stdev
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from factory_assets.spec.train import Task
from factory_resources.snapshot import Snapshot


class Value(BaseModel):
    """The result of a stage. `data_version` is a digest of all a later stage could read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def data_version(self) -> str:
        return sha256(self.model_dump_json().encode()).hexdigest()


class SourceFile(Value):
    """One source: a file, or what a Python source returned."""

    name: str
    """As declared, with the home's and the user's folders left out."""
    sha256: str
    rows: int
    labels: dict[str, str] = {}
    """Columns that hold the same value in each of its rows."""
    join: str = ""
    """The join whose table it is; empty for a source of rows."""


class Block(Value):
    """A part of a table that is made by itself, and kept as long as nothing in it changes."""

    key: str
    good: Snapshot
    broken: Snapshot | None
    rows_in: int
    quarantined: dict[str, int]
    duplicates: int = 0
    sources: int = 0
    """Of ingest: of how many sources it holds the rows."""
    ignored: tuple[str, ...] = ()


class Moved(Value):
    """A column whose values, or whose missing ones, are not as they were."""

    column: str
    index: float
    """Population stability index, less what chance may give."""
    what: str
    """Before and after, in words."""


class Drift(Value):
    """What changed since another snapshot."""

    against: str
    """The data version of the earlier snapshot."""
    rows_before: int
    schema_changes: tuple[str, ...]
    """Columns that came, went or changed their type, in words."""
    moved: tuple[Moved, ...]
    """Those that changed most come first."""


class Findings(Value):
    """What was found out about the whole table, to be held against the contract in every run."""

    newest: str | None = None
    """Newest value of the column of `contract.freshness`, ISO 8601, UTC."""
    drift: Drift | None = None
    """None where there was no snapshot before."""
    personal: dict[str, str] = {}
    """Columns that look like personal data, each with why."""


class Ingested(Value):
    """rows_read = snapshot.rows + quarantined_rows"""

    snapshot: Snapshot
    quarantine: Snapshot | None
    sources: tuple[SourceFile, ...]
    rows_read: int
    quarantined: dict[str, int]
    """Rule to the number of rows that broke it; a row may break several."""
    ignored_columns: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()
    """What the snapshot is made of, in order."""
    findings: Findings = Findings()

    @property
    def data_version(self) -> str:
        """The snapshot's: what follows reads nothing else."""
        return self.snapshot.data_version

    @property
    def quarantined_rows(self) -> int:
        return self.quarantine.rows if self.quarantine else 0


class Cleaned(Value):
    """rows_in = snapshot.rows + quarantined_rows + duplicates"""

    snapshot: Snapshot
    quarantine: Snapshot | None
    rows_in: int
    quarantined: dict[str, int]
    duplicates: int
    blocks: tuple[Block, ...] = ()
    """What the snapshot is made of, in order."""

    @property
    def data_version(self) -> str:
        """The snapshot's: what follows reads nothing else."""
        return self.snapshot.data_version

    @property
    def quarantined_rows(self) -> int:
        return self.quarantine.rows if self.quarantine else 0


class Implied(Value):
    """A value of an input that comes with one class only."""

    value: str
    """In words that begin with a verb: `is 1`, `is missing`."""
    target: str
    """The class."""
    hits: int
    """Training rows of the class among those with the value."""
    rows: int
    share: float
    """Of the class among all training rows."""


class Duplicates(Value):
    """Test rows whose inputs are, every one of them, those of a training row."""

    rows: int
    share: float
    coincidence: bool
    """Whether so many rows are alike in half of their inputs that some must be alike in all."""


class Leaks(Value):
    """What was found out about inputs and parts, to be judged in every run; see `leak_check`."""

    inputs: tuple[str, ...] = ()
    measure: Literal["AUC", "R²"] = "AUC"
    limit: float | None = None
    """Of the measure, from which on an input alone tells the target; None with too few rows."""
    power: dict[str, float] = {}
    """Input to what it alone reaches, on training rows that it was not fitted on."""
    implied: dict[str, Implied] = {}
    duplicates: Duplicates | None = None
    groups: dict[str, float] = {}
    """Column that names somebody or something to the share of test rows whose name training rows
    have too."""
    later: dict[str, float] = {}
    """Column of time to the share of training rows that are later than half of the test rows."""


class Parts(Value):
    """The clean rows, each in exactly one part."""

    train: Snapshot
    validation: Snapshot
    test: Snapshot
    leaks: Leaks = Leaks()

    @property
    def data_version(self) -> str:
        """Of the rows: what is known about them changes nothing that is learned from them."""
        return sha256(self.model_dump_json(exclude={"leaks"}).encode()).hexdigest()


class Epoch(Value):
    epoch: int
    train_loss: float
    validation_loss: float


class Trial(Value):
    """One trial of a search."""

    state: Literal["complete", "pruned", "failed"]
    value: float | None
    """The metric on the validation rows, of a complete one."""


class Tuned(Value):
    """How the settings of a candidate were found."""

    metric: str
    higher_is_better: bool
    trials: tuple[Trial, ...]
    """The first is of the declared settings."""
    chosen: int
    """The place of the best of them."""
    settings: dict[str, str]
    """What was searched, and what was chosen."""

    def figures(self) -> dict[str, float | int | str]:
        """How many trials there were, how they ended, and what the chosen one reached."""
        states = [trial.state for trial in self.trials]
        return {
            "trials": len(states),
            **{state: states.count(state) for state in ("pruned", "failed")},
            "chosen trial": self.chosen + 1,
            f"declared {self.metric}": self.trials[0].value or 0.0,
            f"best {self.metric}": self.trials[self.chosen].value or 0.0,
        }

    def best_so_far(self) -> list[float]:
        """After each trial, what the best until then had reached."""
        best = max if self.higher_is_better else min
        return [*accumulate((t.value for t in self.trials if t.value is not None), best)]


class Stopped(Value):
    """Where its budget ended a training: by nature another one may end elsewhere."""

    budget: str
    """As in `50 Wh`."""
    wh: float
    minutes: float
    after: tuple[int | None, ...]
    """Of each network, after how many calls of a training step; None where it came to its own
    end. Of trees the rounds."""

    @property
    def text(self) -> str:
        return (
            f"stopped by its budget of {self.budget}, after {self.wh:.3g} Wh and "
            f"{self.minutes:.3g} minutes; trained anew it may stop elsewhere"
        )


class Candidate(Value):
    """The MLflow model version just trained."""

    model: str
    version: int
    run_id: str
    kind: str
    task: Task
    target: str
    classes: tuple[str, ...]
    """The classes in the order of the model's outputs; of two, the second is the positive."""
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    digest: str
    """SHA-256 over the model's files."""
    history: tuple[Epoch, ...]
    best_epoch: int | None
    threshold: float | None
    """Two classes: the probability, chosen on validation rows, from which a row is positive."""
    validation: dict[str, float]
    """Metrics on the validation rows."""
    rows: int
    parameters: int | None
    tuned: Tuned | None = None
    """None where the declared settings were taken."""
    stopped: Stopped | None = None
    """Whether its budget ended the training."""
    halved: bool = False
    """Whether batches were half as large as declared, because memory was short."""


class GateResult(Value):
    name: str
    metric: str
    value: float
    bound: float | None
    passed: bool
    explanation: str


class Slice(Value):
    column: str
    value: str
    rows: int
    metrics: dict[str, float]
    """None where the rows are too few."""


class GroupRate(Value):
    """The share of some rows that was decided positive."""

    value: float
    low: float
    high: float
    """The 95 % interval of Wilson."""
    rows: int
    """Of which it is the share."""


class Group(Value):
    """How decisions fell on one group of a protected column."""

    column: str
    value: str
    rows: int
    rates: dict[str, GroupRate]
    """Those that rest on rows enough."""


class Importance(Value):
    """How much of the headline is lost where one input is shuffled."""

    column: str
    mean: float
    sd: float
    """Over the repeats."""


class Importances(Value):
    """Which inputs the model rests on."""

    metric: str
    rows: int
    """Of the judged ones, drawn by chance."""
    repeats: int
    inputs: int
    """How many there are."""
    columns: tuple[Importance, ...]
    """Those that matter most, in order."""


class Disturbed(Value):
    """The headline where inputs are disturbed."""

    kind: Literal["noise", "missing"]
    level: float
    """Of noise in training standard deviations, or the share of missing values."""
    mean: float
    sd: float
    """Over the repeats."""


class FoldMetric(Value):
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


class Folds(Value):
    """Cross-validation: every row judged once, by a model that was trained without its fold."""

    count: int
    rows: int
    """How many were judged."""
    metrics: dict[str, FoldMetric]

    @property
    def means(self) -> dict[str, float]:
        found = {name: metric.mean for name, metric in self.metrics.items()}
        return {name: mean for name, mean in found.items() if mean is not None}


class Variant(Value):
    """One way of telling what training rows did."""

    by: Literal["gradients", "inputs", "leaves"]
    """`inputs` and `leaves`: between what rows the distance is taken."""
    amount: float
    """The damping, in units of the largest curvature, or the number of neighbours."""


class Influence(Value):
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


class Verdict(Value):
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
    influence: Influence | None = None
    """None where it is not asked for."""
    folds: Folds | None = None
    """Cross-validation over all rows, beside the test; None where it is not declared."""

    @property
    def passed(self) -> bool:
        return all(gate.passed for gate in self.gates)


class Champion(Value):
    """The model version that serves."""

    model: str
    version: int
    run_id: str
    replaced: int | None
    onnx_sha256: str
    max_difference: float
    compared_rows: int


Stage = Literal["ingest", "clean", "split", "train", "evaluate", "deploy"]
STAGES: tuple[Stage, ...] = get_args(Stage)
VALUES: Mapping[Stage, type[Value]] = {
    "ingest": Ingested,
    "clean": Cleaned,
    "split": Parts,
    "train": Candidate,
    "evaluate": Verdict,
    "deploy": Champion,
}
UPSTREAM: Mapping[Stage, tuple[Stage, ...]] = {
    "ingest": (),
    "clean": ("ingest",),
    "split": ("clean",),
    "train": ("split",),
    "evaluate": ("split", "train"),
    "deploy": ("split", "train", "evaluate"),
}


def summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Rule to rows, over several tables."""
    total: dict[str, int] = {}
    for count in counts:
        for rule, rows in count.items():
            total[rule] = total.get(rule, 0) + rows
    return total


def most(counts: Mapping[str, int]) -> str:
    """The rule that most rows broke."""
    return max(counts, key=lambda name: counts[name])
