"""The settings of models: networks for rows, images and series, own classes, and trees.

A portfolio of several is declared here too. Fitting a model belongs in `ml.models`.
"""

from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, model_validator

from factory_assets.spec.base import (
    STORED,
    Arguments,
    ColumnName,
    PairedNumbers,
    Positive,
    PositiveInt32,
    Reference,
    StoredSettings,
    listed,
)
from factory_assets.spec.linear import Linear
from factory_assets.spec.losses import NumberLoss

Width = Annotated[int, Field(ge=1, le=65_536)]


class Network(StoredSettings):
    """The settings that all networks have."""

    former = MappingProxyType({"schedule": "one_cycle", "activation": "gelu"})
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 60
    """The largest number of passes over the training rows; `patience` may end training earlier."""
    patience: Annotated[int, Field(ge=1)] = 10
    """Training stops after this many epochs without a better validation loss; the weights of the
    best epoch are used."""
    batch_size: Annotated[int, Field(ge=1)] = 512
    """The number of rows in a training step; reduced if an epoch would have fewer than 8 steps."""
    learning_rate: Positive = 0.01
    """The largest step size of the optimiser."""
    schedule: Literal["one_cycle", "trapezoidal"] = "one_cycle"
    """How the step size changes: `one_cycle` rises for 30 % of the steps and then falls to zero,
    `trapezoidal` rises for 2 %, stays at `learning_rate`, and falls to zero over the last 20 %."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0001
    """How strongly large weights are pulled towards zero; 0 turns it off."""
    ensemble: Annotated[int, Field(ge=1, le=100)] = 1
    """How many networks are trained, from consecutive seeds; their outputs are averaged. Training
    takes that many times longer."""


class Mlp(Network):
    """A neural network for tables: embedded categories and scaled numbers, then hidden layers."""

    kind: Literal["mlp"]
    """Selects a neural network for tables."""
    hidden: Annotated[tuple[Width, ...], listed, Field(min_length=1)] = (128, 64)
    """The width of each hidden layer, such as `[128, 64]` for two layers."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """The share of each layer (0 to below 1) that is dropped at random in training, against
    overfitting."""
    activation: Literal["relu", "gelu"] = "relu"
    """The function between the layers; `gelu` is smooth, and takes longer."""
    schedule: Literal["one_cycle", "trapezoidal"] = "trapezoidal"
    """How the step size changes: `one_cycle` rises for 30 % of the steps and then falls to zero,
    `trapezoidal` rises for 2 %, stays at `learning_rate`, and falls to zero over the last 20 %."""


class Tabm(Network):
    """Many networks for tables in one, which share most of their weights."""

    kind: Literal["tabm"]
    """Selects an ensemble of networks for tables that share most of their weights."""
    members: Annotated[int, Field(ge=1, le=256)] = 8
    """How many networks share the weights; their predictions are averaged."""
    hidden: Annotated[tuple[Width, ...], listed, Field(min_length=1)] = (128, 128)
    """The width of each hidden layer, such as `[128, 128]` for two layers."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """The share of each layer (0 to below 1) that is dropped at random in training, against
    overfitting."""
    bins: Annotated[int, Field(ge=1, le=256)] = 16
    """The largest number of bins of each number, with as many training rows in each."""
    embedding: Annotated[int, Field(ge=1, le=256)] = 4
    """How many functions of each number the network learns from its bins."""
    batch_size: Annotated[int, Field(ge=1)] = 256
    """The number of rows in a training step; reduced if an epoch would have fewer than 8 steps."""
    learning_rate: Positive = 0.003
    """The largest step size of the optimiser."""
    schedule: Literal["one_cycle", "trapezoidal"] = "trapezoidal"
    """How the step size changes: `one_cycle` rises for 30 % of the steps and then falls to zero,
    `trapezoidal` rises for 2 %, stays at `learning_rate`, and falls to zero over the last 20 %."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0003
    """How strongly large weights are pulled towards zero; 0 turns it off."""


class Cnn(Network):
    """A convolutional network for images, such as those of a source of `images`."""

    kind: Literal["cnn"]
    """Selects a convolutional network for images."""
    image: ColumnName
    """The column of the images: `pixels` of a source of images. Other columns are inputs as
    well."""
    hidden: Annotated[tuple[Width, ...], listed, Field(min_length=1)] = (16, 32, 64)
    """The width of each convolution, such as `[16, 32, 64]` for three. Each halves the image for as
    long as that is possible."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """The share of the convolutions' output (0 to below 1) that is dropped at random in training,
    against overfitting."""
    flip: bool = False
    """Whether half of the images are mirrored left to right in training. Use it if a mirrored image
    means the same."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """The number of images in a training step; reduced if an epoch would have fewer than 8
    steps."""


class OwnModule(Network):
    """Your own network (a LightningModule), or a scikit-learn estimator.

    A network is built with (numeric, categories, outputs, **args), and called with (numbers:
    float32 [rows, numeric], codes: int64 [rows, len(categories)]).

    An estimator is a class, yours or scikit-learn's, or a function that returns one. It is built
    with **args alone, which are its only settings.
    """

    python: Reference
    """The class or function, written `module:Name`, such as
    `sklearn.ensemble:ExtraTreesClassifier`. A module beside the `defs.yaml` takes precedence."""
    args: Arguments = {}
    """Further keyword arguments of the class, such as `{width: 64}`."""

    @property
    def of_networks(self) -> tuple[str, ...]:
        """The declared settings that only the training of a network has."""
        fields = Network.model_fields.items()
        return tuple(name for name, field in fields if getattr(self, name) != field.default)


class Forest(StoredSettings):
    """The settings of trees that are fitted independently, and averaged."""

    former = MappingProxyType({"max_features": None, "criterion": "gini"})
    trees: Annotated[int, Field(ge=1, le=10_000)] = 300
    """The number of trees."""
    max_depth: PositiveInt32 | None = None
    """The largest depth of a tree. Default: no limit."""
    min_samples_leaf: PositiveInt32 = 1
    """The smallest number of training rows in a leaf."""
    max_features: Annotated[float | None, Field(gt=0, le=1)] = None
    """The share of the inputs (above 0, up to 1) that is drawn at random for each split, which uses
    the best of them. More finds rules of few inputs; less makes trees differ. Default: for classes,
    the square root of the number of inputs; for numbers, all inputs."""
    criterion: Literal["entropy", "gini"] = "entropy"
    """What a split of classes lowers most: the entropy, or Gini's impurity. Entropy gives better
    probabilities. Splits of numbers lower the squared error."""


class RandomForest(Forest):
    """A random forest by scikit-learn."""

    kind: Literal["random_forest"]
    """Selects a random forest."""


class ExtraTrees(Forest):
    """Extremely randomised trees by scikit-learn: each split is the best of random ones."""

    kind: Literal["extra_trees"]
    """Selects extremely randomised trees."""


class Boosting(StoredSettings):
    """The settings of boosted trees."""

    former = MappingProxyType({"interactions": 0, "loss": "squared_error"})

    iterations: Annotated[int, Field(ge=1, le=10_000)] = 300
    """The largest number of trees; there are fewer if the validation loss stops improving."""
    patience: Annotated[int, Field(ge=1)] = 20
    """Training stops after this many trees without a better validation loss."""
    learning_rate: Positive = 0.1
    """How strongly each tree corrects those before it."""
    max_leaf_nodes: Annotated[int, Field(ge=2)] = 31
    """The largest number of leaves of a tree."""
    min_samples_leaf: PositiveInt32 = 20
    """The smallest number of training rows in a leaf."""
    regularisation: Annotated[float, Field(ge=0)] = 0.0
    """The strength of the L2 penalty on the leaves; 0 is none."""
    max_features: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of the inputs (above 0, up to 1) that is drawn at random for each split, which uses
    the best of them. Less helps if many inputs carry nearly the same information."""
    interactions: PairedNumbers = 0
    """How many numbers (2 to 20) are combined, those that trees use most: the product and the
    difference of each two become inputs as well. This helps where limits of such combinations
    matter. 0 combines none."""
    loss: NumberLoss = "squared_error"
    """What trees of numbers lower: the squared error, by which they learn means, or the absolute
    error, by which they learn medians, which a few very large numbers do not move."""


class GradientBoosting(Boosting):
    """Histogram gradient boosting by scikit-learn."""

    kind: Literal["gradient_boosting"]
    """Selects gradient boosting by scikit-learn."""
    ensemble: Annotated[int, Field(ge=1, le=100)] = 1
    """How many models are trained, from consecutive seeds; their outputs are averaged. They differ
    by `max_features` alone, which must then be below 1."""

    @model_validator(mode="after")
    def _members_differ(self) -> Self:
        if self.ensemble > 1 and self.max_features == 1:
            raise ValueError(
                "an ensemble of boosting needs max_features below 1, such as 0.3; "
                "otherwise all its members are the same"
            )
        return self


class LightGbm(Boosting):
    """Gradient boosting by LightGBM; install it with `pip install '.[lightgbm]'`."""

    former = MappingProxyType({**Boosting.former, "max_bins": 255})
    kind: Literal["lightgbm"]
    """Selects gradient boosting by LightGBM."""
    max_leaf_nodes: Annotated[int, Field(ge=2, le=131_072)] = 31
    """The largest number of leaves of a tree."""
    max_bins: Annotated[int, Field(ge=2, le=65_535)] = 1023
    """The most bins into which each input is divided; splits lie between bins. Fewer bins are
    quicker and need less memory."""


class SequenceNetwork(Network):
    """The settings that all networks over series have.

    The input of a row is a window: the row itself and the rows before it in its series.
    """

    by: ColumnName
    """The column whose equal values form one series, such as `engine`; never an input. Rows without
    a value form one series too, unless the contract says `nullable: false` of the column."""
    order: ColumnName
    """The column that orders the rows of a series, such as `cycle`. It is an input too, unless
    `train.exclude` names it."""
    window: Annotated[int, Field(ge=2, le=10_000)] = 50
    """How many rows of its series a prediction sees, its own included; the first rows of a series
    see fewer."""
    hidden: Width = 64
    """The width of each layer."""
    smooth: Annotated[int, Field(ge=1, le=100)] = 5
    """How many rows the convolution before the network spans; 1 looks at each row alone."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """The share of each layer (0 to below 1) that is dropped at random in training, against
    overfitting."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 5
    """The largest number of passes over the training rows; `patience` may end training earlier."""
    batch_size: Annotated[int, Field(ge=1)] = 256
    """The number of windows in a training step; reduced if an epoch would have fewer than 32
    steps."""
    learning_rate: Positive = 0.003
    """The largest step size of the optimiser."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """How strongly large weights are pulled towards zero; 0 turns it off."""


class Gru(SequenceNetwork):
    """A recurrent network of gated recurrent units."""

    kind: Literal["gru"]
    """Selects a recurrent network (GRU) for series."""
    layers: Annotated[int, Field(ge=1, le=16)] = 1
    """The number of stacked layers."""


class Tcn(SequenceNetwork):
    """Temporal convolutions: each layer reaches twice as far back as the one before it."""

    kind: Literal["tcn"]
    """Selects temporal convolutions for series."""
    layers: Annotated[int | None, Field(ge=1, le=16)] = None
    """The number of stacked layers. Default: as many as it takes to span the window."""


class Transformer(SequenceNetwork):
    """A transformer encoder: every row of the window attends to every other."""

    kind: Literal["transformer"]
    """Selects a transformer encoder for series."""
    layers: Annotated[int, Field(ge=1, le=16)] = 2
    """The number of stacked layers."""
    heads: Annotated[int, Field(ge=1, le=64)] = 4
    """The number of attention heads in each layer; `hidden` must be a multiple of it."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is not a multiple of heads {self.heads}")
        return self


MemberSpec = Annotated[
    Linear | RandomForest | ExtraTrees | GradientBoosting | LightGbm | Mlp | Tabm,
    Field(discriminator="kind"),
]
"""A model that can be a member: one that reads single rows of numbers and categories."""


class Auto(StoredSettings):
    """A portfolio of models: its best member is kept, or the weighted mean of a few.

    Members are compared by their predictions for rows that they have not learned from. The smallest
    set of them is kept that is not worse than all of them by more than chance.
    """

    former = MappingProxyType({"tolerance": 0.5, "loss": "squared_error"})
    kind: Literal["auto"]
    """Selects a portfolio of models."""
    members: (
        Annotated[tuple[MemberSpec, ...], listed, Field(min_length=1, max_length=12)] | None
    ) = None
    """The models to try, in this order, each with its settings, such as `[{kind: linear}, {kind:
    mlp}]`. Default: linear; gradient_boosting; lightgbm (if it is installed) with many small trees
    (not for three classes or more), and with larger ones; from 1,000 rows boosting with
    `interactions: 8` (not for more than ten classes); extra_trees; random_forest; tabm (above
    10,000 rows: mlp)."""
    tolerance: Annotated[float, Field(ge=0, le=10)] = 0.25
    """How many standard errors worse than the best blend of all members a smaller set of them may
    be. More keeps fewer members; 0 keeps all that lower the loss."""
    loss: NumberLoss | None = None
    """What a blend of numbers lowers, and its boosting if no members are named. Default:
    absolute_error if `evaluate.metric` is mae, else squared_error."""

    @model_validator(mode="after")
    def _members_differ(self, info: ValidationInfo) -> Self:
        members = self.members or ()
        for number, member in enumerate(members):
            first = members.index(member)
            if first < number and info.context != STORED:
                raise ValueError(f"members.{first} and members.{number} are the same; drop one")
        return self
