"""The networks over single rows, and what every network is trained with.

Boosted trees: scikit-learn's, and LightGBM's where that is installed.

The networks over series: a row's input is the window of rows up to it.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

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


class Boosting(Spec):
    """What boosted trees are grown with."""

    iterations: Annotated[int, Field(ge=1, le=10_000)] = 300
    """The largest number of trees; fewer where the validation loss stops falling."""
    patience: Annotated[int, Field(ge=1)] = 20
    """Trees without a better validation loss before training stops."""
    learning_rate: Positive = 0.1
    """How much each tree corrects those before it."""
    max_leaf_nodes: Annotated[int, Field(ge=2)] = 31
    """The largest number of leaves of a tree."""
    min_samples_leaf: Annotated[int, Field(ge=1)] = 20
    """The fewest training rows in a leaf."""
    regularisation: Annotated[float, Field(ge=0)] = 0.0
    """Strength of the L2 penalty on the leaves."""
    max_features: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of the inputs, drawn anew, among which each split is looked for: less helps where
    many inputs say nearly the same."""


class GradientBoosting(Boosting):
    """Histogram gradient boosting, by scikit-learn."""

    kind: Literal["gradient_boosting"]
    """Which model."""
    ensemble: Annotated[int, Field(ge=1, le=100)] = 1
    """How often it is grown, from one seed after another; what they say is averaged. They differ by
    `max_features` alone."""

    @model_validator(mode="after")
    def _members_differ(self) -> Self:
        if self.ensemble > 1 and self.max_features == 1:
            raise ValueError(
                "an ensemble of boosting needs max_features below 1, such as 0.3: "
                "all its members would be the same"
            )
        return self


class LightGbm(Boosting):
    """Gradient boosting by LightGBM: `pip install '.[lightgbm]'`."""

    kind: Literal["lightgbm"]
    """Which model."""
    max_leaf_nodes: Annotated[int, Field(ge=2, le=131_072)] = 31
    """The largest number of leaves of a tree."""


class SequenceNetwork(Network):
    """What every network over sliding windows has."""

    by: ColumnName
    """The column whose rows make one series, such as the engine; never an input."""
    order: ColumnName
    """The column that orders a series, such as the cycle; an input too, unless excluded."""
    window: Annotated[int, Field(ge=2, le=10_000)] = 50
    """How many rows of its series a prediction sees, its own included; the first ones see fewer."""
    hidden: Width = 64
    """The width of each layer."""
    smooth: Annotated[int, Field(ge=1, le=100)] = 5
    """Rows that the convolution before the network spans; 1 looks at each row alone."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """The share of each layer that is left out while training, against overfitting."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 5
    """The largest number of passes over the training rows."""
    batch_size: Annotated[int, Field(ge=1)] = 256
    """Windows in one step; fewer where an epoch would have less than 32 steps."""
    learning_rate: Positive = 0.003
    """How far one step goes, at most."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """How strongly large weights are drawn to zero."""


class Gru(SequenceNetwork):
    """Gated recurrent units."""

    kind: Literal["gru"]
    """Which model."""
    layers: Annotated[int, Field(ge=1, le=16)] = 1
    """How many layers stand on each other."""


class Tcn(SequenceNetwork):
    """Temporal convolutions: each layer reaches twice as far back as the one before."""

    kind: Literal["tcn"]
    """Which model."""
    layers: Annotated[int | None, Field(ge=1, le=16)] = None
    """How many layers stand on each other; left out, as many as reach over the window."""


class Transformer(SequenceNetwork):
    """A transformer encoder: every row of the window attends to every other."""

    kind: Literal["transformer"]
    """Which model."""
    layers: Annotated[int, Field(ge=1, le=16)] = 2
    """How many layers stand on each other."""
    heads: Annotated[int, Field(ge=1, le=64)] = 4
    """Attentions side by side in each layer; `hidden` is a multiple of them."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is no multiple of heads {self.heads}")
        return self
