"""How the best settings of a model are searched for: how long, and where."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from factory_assets.spec.base import Spec, listed
from factory_assets.spec.evaluate import Metric
from factory_assets.spec.network import Positive

TRIALS = 30
"""The trials of a search that has no other end."""


def _in_order(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] >= ends[1]:
        raise ValueError(f"[{ends[0]}, {ends[1]}] must go from a smaller to a larger number")
    return ends


Ends = Annotated[tuple[float | int, float | int], listed, AfterValidator(_in_order)]
"""The smallest and the largest value."""


class Span(Spec):
    """Every value between two ends, which belong to it."""

    range: Ends
    """The smallest and the largest value; two whole numbers where the setting takes no others."""
    log: bool = False
    """Whether orders of magnitude are tried alike, so that 0.001 to 0.01 counts as 0.01 to 0.1."""

    @model_validator(mode="after")
    def _magnitudes_are_above_zero(self) -> Self:
        if self.log and self.range[0] <= 0:
            raise ValueError("log: orders of magnitude need a range that begins above 0")
        return self


class Choices(Spec):
    """One of some values."""

    values: Annotated[tuple[Any, ...], listed, Field(min_length=2)]
    """The values to try, such as `[15, 31, 63]`."""


def _form(value: Any) -> str:
    if isinstance(value, Choices) or (isinstance(value, dict) and "values" in value):
        return "choices"
    return "span" if isinstance(value, Span | dict) else "ends"


Searched = Annotated[
    Annotated[Ends, Tag("ends")]
    | Annotated[Span, Tag("span")]
    | Annotated[Choices, Tag("choices")],
    Discriminator(_form),
]


class Tune(Spec):
    """Train with other settings too, and keep those that are best on the validation rows."""

    trials: Annotated[int | None, Field(ge=1, le=100_000)] = None
    """How many settings are tried, the declared ones first; 30 where neither `minutes` nor `wh` end
    the search."""
    minutes: Positive | None = None
    """No trial begins later, counted over all trials."""
    wh: Positive | None = None
    """No trial begins once the trials have used so much energy."""
    search: Annotated[dict[str, Searched] | None, Field(min_length=1)] = None
    """Setting of the model to `[smallest, largest]`, `{range, log}` or `{values}`; left out, what
    matters most for the kind."""
    prune: bool = True
    """Whether a network is given up after an epoch in which half of the others were better."""
    metric: Metric | None = None
    """What is compared on the validation rows; left out, the headline of `evaluate`."""

    @property
    def most(self) -> int | None:
        """How many trials there are; None where only a budget ends the search."""
        unbounded = self.minutes is None and self.wh is None
        return TRIALS if self.trials is None and unbounded else self.trials
