"""The request for one of the independent fits of a stage.

It imports what fits, which a worker does not need that is asked for stages alone; other messages
belong in `protocol`.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from factory_assets.execution.workers.protocol import Message
from factory_assets.execution.workers.room import Needs
from factory_assets.ml.attribution.retraining_tasks import RetrainingTask
from factory_assets.ml.evaluation.cross_validation import FoldTask
from factory_assets.ml.training.members import MemberTask
from factory_assets.ml.training.training_task import TrainingTask
from factory_assets.ml.training.trials import TrialTask
from factory_assets.results.stages import Stage


class FitCall(Message):
    """Ask for one fit."""

    kind: Literal["fit"] = "fit"
    stage: Stage
    task: Annotated[
        FoldTask | MemberTask | TrialTask | RetrainingTask | TrainingTask,
        Field(discriminator="kind"),
    ]
    files: Path
    """The folder that the worker makes and writes into."""
    resources: Needs = Needs()
    """What a process needs for it, as declared."""
