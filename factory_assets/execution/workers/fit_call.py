"""The request for one of the independent fits of a stage; the other messages belong in `protocol`.

Of the task it has the text alone: which kinds there are belongs in `fit_kinds`.
"""

from pathlib import Path
from typing import Literal

from factory_assets.execution.workers.protocol import Message
from factory_assets.execution.workers.room import Needs
from factory_assets.results.stages import Stage


class FitCall(Message):
    """Ask for one fit."""

    kind: Literal["fit"] = "fit"
    stage: Stage
    task: str
    """The task as JSON."""
    files: Path
    """The folder that the worker makes and writes into."""
    resources: Needs = Needs()
    """What a process needs for it, as declared."""
