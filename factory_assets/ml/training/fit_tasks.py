"""Independent fits as plain values, so that any process can do them, such as folds and trials.

A task names its rows by their snapshots and writes what it found as files. Each kind of task
belongs in the module whose fits it describes; who does tasks, above this package.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.metering.meter import Cost
from factory_resources.progress import Progress
from factory_resources.tables.snapshot import Snapshot

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_ARRAYS = "arrays.safetensors"


class FitRows(BaseModel):
    """The rows that models are fitted on, and those that decide when to stop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: Snapshot
    validation: Snapshot


class FitTask(BaseModel, ABC):
    """One of several independent fits."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, ser_json_inf_nan="constants"
    )

    @property
    @abstractmethod
    def shared(self) -> BaseModel:
        """What the task has in common with others, from which `prepare` reads."""

    @abstractmethod
    def prepare(self, pipeline: Pipeline, home: Home) -> Any:
        """Read what all tasks with this `shared` need."""

    @abstractmethod
    def run(self, prepared: Any, files: Path, progress: Progress) -> None:
        """Fit, and write what was found into an empty folder.

        Args:
            prepared: what `prepare` returned for this task or another with the same `shared`.

        Raises:
            FactoryError: as the same fit without a task.
        """


@dataclass(frozen=True)
class FittedTask:
    """What became of a task."""

    files: Path
    """What it wrote; removed when the next one is asked for."""
    cost: Cost


class FitExecutor(Protocol):
    """Does independent fits."""

    def map(self, tasks: Sequence[FitTask], progress: Progress) -> Iterator[FittedTask]:
        """Do all tasks, in any order and at the same time, and yield them in their order.

        Raises:
            FactoryError: what a task raises; the others are given up.
        """


def save_arrays(arrays: dict[str, NDArray[Any]], files: Path) -> None:
    """Write arrays into the folder; they are read with the same bits."""
    import numpy as np
    from safetensors.numpy import save_file

    save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, files / _ARRAYS)


def load_arrays(files: Path) -> dict[str, NDArray[np.generic]]:
    """Read what `save_arrays` wrote."""
    from safetensors.numpy import load_file

    found: dict[str, NDArray[np.generic]] = load_file(files / _ARRAYS)
    return found
