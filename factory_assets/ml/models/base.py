"""The interface of every kind of model: fit, store, load, evaluate and export.

Choosing the class of a declared kind belongs in `kinds.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.budget import Share
from factory_assets.results.training import Epoch
from factory_assets.spec.train import ModelSpec, Task, Trainer
from factory_resources.errors import ModelError
from factory_resources.progress import Progress

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from factory_assets.ml.features.arrays import MemoryMap


EpochCallback = Callable[[Epoch], None]
"""Called after each epoch of a network; raising `TrialPruned` ends the fit."""

ENSEMBLE_SEED_STEP = 1_000_000
"""Distance between the seeds of an ensemble: seeds of two declarations are unlikely to coincide."""

CLIP_SD = 20.0
"""Standard deviations from the mean to which the factory's own networks clip each number, so that
one absurd value neither dominates the others nor overflows."""


FitMembers = Callable[["FitContext"], Sequence["Fit"]]
"""Fits the members of the ensemble of networks that a context declares, in their order."""


FitApart = Callable[["FitContext", Sequence["MemberFit"]], Iterator[Path]]
"""Does fits of the portfolio that a context declares; yields the files of each, in their order."""


WithoutFold = Callable[[int, LabelledArrays], LabelledArrays]
"""Encodes all rows (training, then validation) without the targets of one fold."""


class TrialPruned(Exception):  # noqa: N818 - nothing is wrong
    """Raised when a search prunes the trial; carries the reason."""


@dataclass(frozen=True)
class Shape:
    """What a model reads and returns."""

    task: Task
    numbers: int
    cardinalities: tuple[int, ...]
    outputs: int
    """The number of classes, or 1."""
    window: int | None = None
    """How many rows the model reads for one output; None if it reads single rows."""
    picture: tuple[int, int, int] | None = None
    """Height, width and colours of the picture whose pixels are the last of the numbers."""
    scales: tuple[tuple[float, float], ...] = ()
    """Mean and standard deviation of each of the first numbers, by which a model is fed that reads
    them standardised; the other numbers stay as they are."""


@dataclass(frozen=True)
class FitContext:
    """Everything that fitting needs besides the rows."""

    spec: ModelSpec
    shape: Shape
    seed: int
    class_weights: NDArray[np.float64] | None
    """[classes]; None if all classes weigh the same."""
    folder: Path
    """The folder of the declaration, from which a user's own module is loaded."""
    scratch: Path
    """A folder for files that are not needed after the fit."""
    progress: Progress
    trainer: Trainer = field(default_factory=Trainer)
    """How a network is trained: accelerator, devices, precision, checkpoints."""
    checkpoints: Path | None = None
    """The folder of the checkpoints; None if none are written."""
    followed: bool = False
    """Whether another fit of the same training follows, so that a checkpoint is written when this
    one ends."""
    watch: EpochCallback | None = None
    budget: Share | None = None
    """What the training may spend; None if it has no limit."""
    halved: bool = False
    """Whether batches are half as large as declared, for lack of memory."""
    rank: int = 0
    """The number of this process among the `ranks` processes that train one network together."""
    ranks: int = 1
    mapped: MemoryMap | None = None
    """The mapped files that hold the rows; None if the rows are in memory."""
    rounds: int | None = None
    """The exact number of epochs or trees, on the schedule of the declared number; the validation
    rows then decide nothing. None if they decide when to stop."""
    members: FitMembers | None = None
    """Fits the members of an ensemble at the same time; None if they are fitted one by one."""
    folds: NDArray[np.int64] | None = None
    """[training rows, then validation rows]: the inner fold of each, for the out-of-fold
    predictions of a portfolio; None if its members predict the validation rows."""
    without_fold: WithoutFold | None = None
    """Given if there are folds and the rows have statistics of the target."""
    whole: bool = True
    """Whether a portfolio fits what it keeps on training and validation rows; if not, its members
    learn from the training rows alone and predict the validation rows."""
    fit_apart: FitApart | None = None
    """Does fits of a portfolio at the same time; None if they are done one by one."""

    def weighted_for(self, target: NDArray[np.int64]) -> FitContext:
        """Return the context of a fit on other rows, whose classes weigh the same in total.

        Args:
            target: [rows], their class codes; anything if the classes are not weighted.
        """
        if self.class_weights is None:
            return self
        return replace(self, class_weights=balanced_weights(target, self.shape.outputs))

    def sample_weights(self, target: NDArray[Any]) -> NDArray[np.float64] | None:
        """Return the weight of each row's class, [rows], or None if all weigh the same."""
        return None if self.class_weights is None else self.class_weights[target]


class MemberFit(BaseModel):
    """One fit of a member of a portfolio."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    member: int
    """Its index among the declared ones."""
    fold: int | None = None
    """The fold that is left out and predicted; None to fit on all rows."""
    rounds: int | None = None
    """As in `FitContext`."""

    @property
    def name(self) -> str:
        return f"{self.member}-{'all' if self.fold is None else self.fold}"


@dataclass(frozen=True)
class FitCost:
    """What fits took: wall time in seconds, energy in Wh."""

    seconds: float
    wh: float


@dataclass(frozen=True)
class JudgedMembers:
    """The predictions of a portfolio's members for held-out rows, and the weights they led to."""

    rows: NDArray[np.int64]
    """[rows]: their positions among the training rows, then the validation rows."""
    folds: NDArray[np.int64]
    """[rows]: the fold of each."""
    members: NDArray[np.float64]
    """[members, rows, classes] or [members, rows]: the `Model.outputs` of each member tried."""
    weights: tuple[float, ...]
    """The weight of each declared member, 0 if it is not kept; they add up to 1."""
    costs: tuple[FitCost, ...]
    """The total cost of the fits that predicted these rows, for each member tried."""
    rounds: tuple[int | None, ...]
    """The median of `Fit.rounds` over these fits, for each member tried."""

    @property
    def outputs(self) -> NDArray[np.float64]:
        """The outputs of the blend, [rows, classes] or [rows]."""
        import numpy as np

        blend: NDArray[np.float64] = np.tensordot(
            self.weights[: len(self.members)], self.members, 1
        )
        return blend


@dataclass(frozen=True)
class Fit:
    """A fitted model and how its training went."""

    model: Model
    history: tuple[Epoch, ...] = ()
    best_epoch: int | None = None
    halved: bool = False
    """Whether batches were half as large as declared, for lack of memory."""
    rounds: int | None = None
    """After how many epochs or trees the model was best; the median of several members. None if
    its kind does not stop early."""
    judged: JudgedMembers | None = None
    """How the members of a portfolio were judged; None for any other kind."""


def balanced_weights(codes: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """[classes]: rows / (classes * rows of the class), so that each class has the same total."""
    import numpy as np

    weights: NDArray[np.float64] = len(codes) / (classes * np.bincount(codes, minlength=classes))
    return weights


def join_histories(histories: Iterable[Iterable[Epoch]]) -> tuple[Epoch, ...]:
    """Return the epochs of several fits one after another, numbered consecutively from 0."""
    epochs = (epoch for history in histories for epoch in history)
    return tuple(epoch.model_copy(update={"epoch": i}) for i, epoch in enumerate(epochs))


def unusable_file_error(what: str) -> ModelError:
    """Return the error of a stored file that such a model has not written."""
    return ModelError(what, remedy="train again; do not use this artefact")


def median_rounds(found: Iterable[int | None]) -> int | None:
    """Return the median of how many rounds several fits took; None if the kind has none."""
    known = [rounds for rounds in found if rounds is not None]
    return round(median(known)) if known else None


@contextmanager
def rare_classes() -> Iterator[None]:
    """Silence scikit-learn's guess, in each tree of a forest, that most classes are numbers.

    What they are is declared, and the gates judge what is learned of them.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        yield


class Model(ABC):
    """One kind of model.

    The declared kind determines the class; the stored files contribute only numbers, never code.
    """

    scaled: ClassVar[bool]
    """Whether numeric inputs are standardised before the model reads them."""
    vocabulary: ClassVar[int]
    """The largest number of values of a categorical column that get a code of their own."""
    statistics: ClassVar[bool] = False
    """Whether categories with still more values are also given as statistics of the target."""
    stops: ClassVar[bool] = False
    """Whether a budget can stop its training."""
    streams: ClassVar[bool] = False
    """Whether it can also be trained on rows in mapped files, not only on rows in memory."""

    @classmethod
    def require_library(cls) -> None:
        """Raise ModelError if a library is missing that its kind alone needs."""
        return

    @classmethod
    def try_out(cls, context: FitContext, inputs: Arrays) -> None:
        """Raise ModelError if it shows before the training that what it makes cannot be served.

        Only a user's own code is not known to be servable.

        Args:
            inputs: of the rows to learn from.
        """
        return

    @classmethod
    @abstractmethod
    def fit(cls, context: FitContext, train: LabelledArrays, validation: LabelledArrays) -> Fit:
        """Fit on `train`; `validation` only decides when to stop, unless `context.rounds` does.

        Raises:
            ModelError: the loss becomes NaN or infinite, or a user's own module fails.
        """

    @abstractmethod
    def outputs(self, inputs: Arrays) -> NDArray[np.float64]:
        """Return probabilities [rows, classes], or standardised predictions [rows]."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the learned numbers; the same model gives the same bytes."""

    @classmethod
    @abstractmethod
    def load(cls, spec: ModelSpec, shape: Shape, files: Path, folder: Path) -> Self:
        """Read what `save` wrote. No code is loaded from the files.

        Raises:
            ModelError: the files do not contain such a model.
        """

    @abstractmethod
    def graph(self) -> onnx.ModelProto:
        """Return the model as an ONNX graph.

        Inputs: `numbers` float [N, width] and `codes` int64 [N, categories], each only if the model
        has such columns; models of series also read `windows` int64 [M, window].
        Output: `outputs` float [N, classes] or [N, 1]; for series [M, classes] or [M, 1].
        """

    @property
    @abstractmethod
    def parameters(self) -> int:
        """The number of learned values."""
