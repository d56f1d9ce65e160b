"""How a training went: its epochs, and where a budget ended it."""

from factory_assets.results.base import StageResult


class Epoch(StageResult):
    """The losses after one epoch of training."""

    epoch: int
    train_loss: float
    validation_loss: float


class Stopped(StageResult):
    """Where the budget ended a training; another training may end elsewhere."""

    budget: str
    """The declared budget, such as `50 Wh`."""
    wh: float
    minutes: float
    after: tuple[int | None, ...]
    """For each network, the number of calls of its training step, or None if it finished; for
    trees, the number of rounds; for `auto`, first the number of members that were tried."""

    @property
    def text(self) -> str:
        return (
            f"stopped by its budget of {self.budget}, after {self.wh:.3g} Wh and "
            f"{self.minutes:.3g} minutes; a new training may stop elsewhere"
        )
