"""The results of train and deploy: a model version, and how it was trained."""

from hashlib import sha256
from itertools import accumulate
from math import inf
from typing import Annotated, Literal

from pydantic import Field

from factory_assets.results.base import StageResult
from factory_assets.results.training import Epoch, Stopped
from factory_assets.results.uncertainty import RegionBounds
from factory_assets.spec.base import is_unset
from factory_assets.spec.train import Task


class Trial(StageResult):
    """One trial of a search."""

    state: Literal["complete", "pruned", "failed"]
    value: float | None
    """The metric on the rows that judged it; None if the trial is not complete."""


class Tuned(StageResult):
    """The search for the settings of a candidate."""

    metric: str
    higher_is_better: bool
    trials: tuple[Trial, ...]
    """All trials in order; the first has the declared settings."""
    chosen: int
    """Index of the best trial."""
    settings: dict[str, str]
    """Each searched setting with the chosen value."""

    def figures(self) -> dict[str, float | int | str]:
        """Return how many trials there were, how they ended, and what the chosen one reached."""
        states = [trial.state for trial in self.trials]
        return {
            "trials": len(states),
            **{state: states.count(state) for state in ("pruned", "failed")},
            "chosen trial": self.chosen + 1,
            f"declared {self.metric}": self.trials[0].value or 0.0,
            f"best {self.metric}": self.trials[self.chosen].value or 0.0,
        }

    def best_so_far(self) -> list[float]:
        """Return the best value so far after each complete trial."""
        best = max if self.higher_is_better else min
        return [*accumulate((t.value for t in self.trials if t.value is not None), best)]


class PortfolioMember(StageResult):
    """A member of a portfolio, judged on rows that it had not learned from."""

    kind: str
    settings: Annotated[str, Field(exclude_if=is_unset)] = ""
    """Those that tell it from other members of its kind, such as `interactions 8`."""
    value: float | None
    """The metric on all these rows; None if it is undefined."""
    sd: float | None
    """Its standard deviation over the folds; None if there is one fold, or it is undefined."""
    weight: float
    """Its part of the model; 0 if it is not kept."""
    rounds: Annotated[int | None, Field(exclude_if=is_unset)] = None
    """For how many epochs, trees or iterations it is fitted on all rows if it is kept; None for
    kinds that do not stop early."""

    @property
    def name(self) -> str:
        """Such as `lightgbm (interactions 8)`."""
        return f"{self.kind} ({self.settings})" if self.settings else self.kind


class Portfolio(StageResult):
    """The members that were tried, and the blend that was kept."""

    metric: str
    higher_is_better: bool
    rows: int
    """The rows on which the members were judged."""
    folds: int
    members: tuple[PortfolioMember, ...]
    """Those that were tried, in their declared order."""
    value: float | None
    sd: float | None
    """The metric of the blend, as of a member."""

    @property
    def kept(self) -> tuple[PortfolioMember, ...]:
        """The members that are part of the model, from the largest weight."""
        kept = (member for member in self.members if member.weight)
        return tuple(sorted(kept, key=lambda member: -member.weight))

    @property
    def ranked(self) -> tuple[PortfolioMember, ...]:
        """All members from the best; those without a value last."""
        sign = -1 if self.higher_is_better else 1

        def rank(member: PortfolioMember) -> float:
            return inf if member.value is None else sign * member.value

        return tuple(sorted(self.members, key=rank))

    @property
    def text(self) -> str:
        """Such as `2 of 6 members kept: mlp 60 %, linear 40 %`."""
        parts = ", ".join(f"{member.name} {member.weight:.0%}" for member in self.kept)
        return f"{len(self.kept)} of {len(self.members)} members kept: {parts}".replace("%", " %")


class Refit(StageResult):
    """How the kept model was fitted again, on training and validation rows; or why it was not."""

    rounds: int | None = None
    """The epochs, trees or iterations of each member, as found before; None for kinds that do not
    stop early."""
    folds: int | None = None
    """How many inner folds decided threshold, calibration and rounds, because rows are few; None if
    the validation rows did."""
    reason: str | None = None
    """Why the kept model learned from the training rows alone; None if it did not."""

    @property
    def text(self) -> str:
        if self.reason:
            return f"learned from the training rows alone: {self.reason}"
        rounds = f", {self.rounds} rounds" if self.rounds else ""
        decided = f"{self.folds} inner folds" if self.folds else "the validation rows"
        return f"learned from training and validation rows{rounds}, after {decided} had decided"


class Candidate(StageResult):
    """A trained model version in MLflow that does not serve yet."""

    model: str
    version: int
    run_id: str
    kind: str
    task: Task
    target: str
    classes: tuple[str, ...]
    """The classes in the order of the model's outputs; the second of two is the positive one."""
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    times: Annotated[tuple[str, ...], Field(exclude_if=is_unset)] = ()
    digest: str
    """SHA-256 of the model's files."""
    history: tuple[Epoch, ...]
    best_epoch: int | None
    threshold: float | None
    """For two classes, the probability from which a row is positive; chosen on validation rows."""
    validation: dict[str, float]
    """Metrics on rows that the models behind them had not learned from: the validation rows; or
    where rows are few, all rows of the inner folds."""
    rows: int
    """How many rows it learned from."""
    parameters: int | None
    tuned: Tuned | None = None
    """The search for settings; None if the declared settings were used."""
    stopped: Stopped | None = None
    """Where the budget ended the training; None if it finished."""
    halved: bool = False
    """Whether batches were half as large as declared, because memory ran short."""
    portfolio: Annotated[Portfolio | None, Field(exclude_if=is_unset)] = None
    """The members of `auto`; None for any other kind."""
    regions: Annotated[RegionBounds | None, Field(exclude_if=is_unset)] = None
    """From which sets or intervals are answered; None if that is not declared."""
    refit: Annotated[Refit | None, Field(exclude_if=is_unset)] = None
    """How it learned from the validation rows too; None if `train.refit` is `never`."""
    provenance: str | None = None
    """SHA-256 of the manifest of how it was trained; None in results that are older than that."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (*self.numeric, *self.times, *self.categorical)

    @property
    def knows_validation(self) -> bool:
        """Whether it learned from the validation rows too."""
        return self.refit is not None and self.refit.reason is None

    @property
    def data_version(self) -> str:
        # The same model is the same data, whichever machine trained it.
        return sha256(self.model_dump_json(exclude={"provenance"}).encode()).hexdigest()


class Champion(StageResult):
    """The model version that serves."""

    model: str
    version: int
    run_id: str
    replaced: int | None
    """The version that served before; None if there was none."""
    onnx_sha256: str
    max_difference: float
    """Largest difference between the outputs of the exported graph and the evaluated ones."""
    compared_rows: int
