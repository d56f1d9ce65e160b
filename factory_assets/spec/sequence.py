"""The networks over series: a row's input is the window of rows up to it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from factory_assets.spec.base import ColumnName
from factory_assets.spec.network import Network, Positive, Width


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
