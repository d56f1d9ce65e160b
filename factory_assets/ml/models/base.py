"""What every kind of model is to the factory: fitted, stored, loaded, evaluated, exported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.budget import Share
from factory_assets.results.model import Epoch
from factory_assets.spec.train import ModelSpec, Task, Trainer

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from factory_assets.ml.features.arrays import MemoryMap


Progress = Callable[[str], None]

Watch = Callable[[Epoch], None]
"""Told of each epoch of a network; `TrialPruned` ends the fit."""

APART = 1_000_000
"""The seeds of an ensemble lie so far apart that those of two declarations hardly meet."""

FARTHEST = 20.0
"""Standard deviations from the mean beyond which a number counts as just so far in the factory's
own networks: one absurd value must not drown the others, nor overflow."""


class TrialPruned(Exception):  # noqa: N818 - nothing is wrong
    """Nobody wants the model any more, for the reason that it holds."""


@dataclass(frozen=True)
class Shape:
    """What a model reads and returns."""

    task: Task
    numbers: int
    cardinalities: tuple[int, ...]
    outputs: int
    """The number of classes, or 1."""
    window: int | None = None
    """How many rows the model reads for one output; None where it reads single rows."""
    picture: tuple[int, int, int] | None = None
    """Height, width and colours of the picture that the last of the numbers are."""


@dataclass(frozen=True)
class FitContext:
    """What fitting needs beside the rows."""

    spec: ModelSpec
    shape: Shape
    seed: int
    class_weights: NDArray[np.float64] | None
    """[classes], or None for all alike."""
    folder: Path
    """Of the declaration: a user's own module is found there."""
    scratch: Path
    """Files that need not outlive the fit."""
    progress: Progress
    trainer: Trainer = field(default_factory=Trainer)
    """How the training of a network is carried out."""
    checkpoints: Path | None = None
    """The folder in which it is kept how far a training came; None where nothing is kept."""
    watch: Watch | None = None
    budget: Share | None = None
    """What it may spend; None for what it needs."""
    halved: bool = False
    """Whether batches are half as large as declared, because memory was short."""
    rank: int = 0
    ranks: int = 1
    """Which of how many processes this is that train one network together."""
    mapped: MemoryMap | None = None
    """The files in which the rows lie; None where they are in memory."""

    def sample_weights(self, target: NDArray[Any]) -> NDArray[np.float64] | None:
        return None if self.class_weights is None else self.class_weights[target]


@dataclass(frozen=True)
class Fit:
    """A fitted model, and how it came about."""

    model: Model
    history: tuple[Epoch, ...] = ()
    best_epoch: int | None = None
    halved: bool = False
    """Whether batches were half as large as declared, because memory was short."""


class Model(ABC):
    """One kind of model. The class comes from code, by the kind; the files hold only numbers."""

    scaled: ClassVar[bool]
    """Whether numbers are standardised before they reach the model."""
    vocabulary: ClassVar[int]
    """The largest number of names kept of a categorical column."""
    stops: ClassVar[bool] = False
    """Whether its training can be ended by a budget."""
    streams: ClassVar[bool] = False
    """Whether it learns from rows that lie in files as well as from rows in memory."""

    @classmethod
    @abstractmethod
    def fit(cls, setting: FitContext, train: LabelledArrays, validation: LabelledArrays) -> Fit:
        """Learn from `train`; `validation` only says when to stop.

        Raises:
            ModelError: when the loss is not a number, or a user's own module fails.
        """

    @abstractmethod
    def outputs(self, inputs: Arrays) -> NDArray[np.float64]:
        """Probabilities [rows, classes], or standardised predictions [rows]."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the learned numbers: the same bytes for the same model."""

    @classmethod
    @abstractmethod
    def load(cls, spec: ModelSpec, shape: Shape, files: Path, folder: Path) -> Self:
        """Read what `save` wrote. No code is taken from the files.

        Raises:
            ModelError: when the files are not such a model.
        """

    @abstractmethod
    def graph(self) -> onnx.ModelProto:
        """`numbers` float [N, width] and `codes` int64 [N, categories], each where there is one, to
        `outputs` float [N, classes] or [N, 1]; of series also `windows` int64 [M, window], and then
        the outputs are [M, …]."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """How many numbers were learned."""
