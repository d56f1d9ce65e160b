"""What models of numbers lower while they learn; models of classes lower the log loss."""

from typing import Literal

NumberLoss = Literal["squared_error", "absolute_error"]


def default_loss(metric: str | None) -> NumberLoss:
    """Return what a blend lowers if `train.model` says nothing, by the metric that judges it."""
    return "absolute_error" if metric == "mae" else "squared_error"
