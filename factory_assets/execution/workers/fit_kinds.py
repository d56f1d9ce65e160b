"""The kinds of independent fits that a worker can be asked for.

It imports all that fits, which the run, and a worker that is asked for stages alone, do not need.
"""

from typing import Annotated

from pydantic import Field, TypeAdapter

from factory_assets.ml.attribution.retraining_tasks import RetrainingTask
from factory_assets.ml.evaluation.cross_validation import FoldTask
from factory_assets.ml.training.members import MemberTask
from factory_assets.ml.training.portfolio_tasks import PortfolioTask
from factory_assets.ml.training.training_task import TrainingTask
from factory_assets.ml.training.trials import TrialTask

Task = FoldTask | MemberTask | PortfolioTask | TrialTask | RetrainingTask | TrainingTask

TASKS: TypeAdapter[Task] = TypeAdapter(Annotated[Task, Field(discriminator="kind")])
