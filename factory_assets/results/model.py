"""What train and deploy hand on: a model version, and how it came about."""

from itertools import accumulate
from typing import Literal

from factory_assets.results.base import StageResult
from factory_assets.spec.train import Task


class Epoch(StageResult):
    epoch: int
    train_loss: float
    validation_loss: float


class Trial(StageResult):
    """One trial of a search."""

    state: Literal["complete", "pruned", "failed"]
    value: float | None
    """The metric on the validation rows, of a complete one."""


class Tuned(StageResult):
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


class Stopped(StageResult):
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


class Candidate(StageResult):
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


class Champion(StageResult):
    """The model version that serves."""

    model: str
    version: int
    run_id: str
    replaced: int | None
    onnx_sha256: str
    max_difference: float
    compared_rows: int
