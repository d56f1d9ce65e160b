"""What a training may spend."""

from typing import Self

from pydantic import model_validator

from factory_assets.spec.base import Spec
from factory_assets.spec.network import Positive


class Budget(Spec):
    """What a training may spend, all networks of an ensemble together; then it stops, and the best
    epoch so far is kept."""

    wh: Positive | None = None
    """Energy in Wh, as the factory meters it."""
    minutes: Positive | None = None
    """Wall time."""

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.wh is None and self.minutes is None:
            raise ValueError("a budget needs `wh` or `minutes`")
        return self
