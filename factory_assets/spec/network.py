"""The networks over single rows, and what every network is trained with."""

from typing import Annotated, Any, Literal

from pydantic import Field

from factory_assets.spec.base import ColumnName, Reference, Spec, listed

Width = Annotated[int, Field(ge=1, le=65_536)]
Positive = Annotated[float, Field(gt=0)]


class Network(Spec):
    """What every network is trained with."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 60
    """The largest number of passes over the training rows."""
    patience: Annotated[int, Field(ge=1)] = 10
    """Epochs without a better validation loss before training stops; the best epoch is kept."""
    batch_size: Annotated[int, Field(ge=1)] = 512
    """Rows in one step; fewer where an epoch would have less than eight steps."""
    learning_rate: Positive = 0.01
    """How far one step goes."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0001
    """How strongly large weights are drawn to zero."""
    ensemble: Annotated[int, Field(ge=1, le=100)] = 1
    """How many networks are trained, from one seed after another; their outputs are averaged."""


class Mlp(Network):
    """A network for tables: embedded categories beside scaled numbers, then hidden layers."""

    kind: Literal["mlp"]
    """Which model."""
    hidden: Annotated[tuple[Width, ...], listed, Field(min_length=1)] = (128, 64)
    """The width of each hidden layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """The share of each layer that is left out while training, against overfitting."""


class Cnn(Network):
    """A convolutional network for pictures, such as a source of `images` gives."""

    kind: Literal["cnn"]
    """Which model."""
    image: ColumnName
    """The column of pictures, `pixels` of a source of images; other inputs stand beside it."""
    hidden: Annotated[tuple[Width, ...], listed, Field(min_length=1)] = (16, 32, 64)
    """The width of each convolution; each halves the picture, as long as there is something to
    halve."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """The share of what the convolutions found that is left out while training."""
    flip: bool = False
    """Whether half of the pictures are mirrored, left to right, while training: where a mirrored
    one means the same."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Pictures in one step; fewer where an epoch would have less than eight steps."""


class OwnModule(Network):
    """Your own LightningModule: built with (numeric, categories, outputs, **args), and called with
    (numbers: float32 [rows, numeric], codes: int64 [rows, len(categories)]).

    Or a scikit-learn estimator: a class, yours or scikit-learn's, or a function that returns one;
    built with **args alone, which are all its settings."""

    python: Reference
    """The class, or function, `module:Name`; a module beside the `defs.yaml` is found first."""
    args: dict[str, Any] = {}
    """Further keyword arguments of the class."""
