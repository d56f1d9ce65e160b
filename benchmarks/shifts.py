"""Worlds in which inputs, or the truth for given inputs, change in twenty known ways.

What is estimated in them belongs in `estimated_performance.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

COLUMNS = 6
Kind = Literal["covariate", "label", "concept"]
"""What changes: inputs alone; rows selected by their truth; the truth for given inputs."""

Select = Callable[[pd.DataFrame, NDArray[Any], NDArray[Any]], NDArray[Any]]
"""From inputs, truth and the model's score [rows]: how the log frequency of each row changes."""


@dataclass(frozen=True)
class Shift:
    """How the world differs from the one in which the model was trained."""

    kind: Kind = "covariate"
    mean: tuple[float, ...] = (0.0,) * COLUMNS
    spread: tuple[float, ...] = (1.0,) * COLUMNS
    correlation: float = 0.3
    tails: float | None = None
    """Degrees of freedom of Student's t; None for a normal distribution."""
    second: float = 0.3
    """The share of a second subpopulation, 1.5 further in two columns."""
    mix: tuple[float, ...] = (0.5, 0.3, 0.15, 0.05)
    """The frequencies of the category's values."""
    missing: float = 0.05
    """The share of rows that lack the third number."""
    select: Select | None = None
    offset: float = 0.0
    flipped: bool = False
    noise: float = 1.0
    """Of the truth for given inputs: added, one effect reversed, and its spread multiplied."""


def _score(factor: float) -> Select:
    return lambda inputs, truth, score: factor * _unit(score)


def _truth(factor: float) -> Select:
    return lambda inputs, truth, score: factor * _unit(truth)


def _two(inputs: pd.DataFrame, truth: NDArray[Any], score: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(0.8 * inputs["x0"] - 0.8 * inputs["x1"])


def _truncated(inputs: pd.DataFrame, truth: NDArray[Any], score: NDArray[Any]) -> NDArray[Any]:
    return np.where(inputs["x0"] > inputs["x0"].median(), 0.0, -50.0)


def _truth_and_input(
    inputs: pd.DataFrame, truth: NDArray[Any], score: NDArray[Any]
) -> NDArray[Any]:
    return np.asarray(0.7 * _unit(truth) + 0.7 * inputs["x2"].fillna(0))


SHIFTS: Mapping[str, Shift] = {
    "none": Shift(),
    "mean of one column": Shift(mean=(1.0, 0, 0, 0, 0, 0)),
    "mean of all columns": Shift(mean=(0.4,) * COLUMNS),
    "wider": Shift(spread=(1.5,) * COLUMNS),
    "narrower": Shift(spread=(0.6,) * COLUMNS),
    "heavy tails": Shift(tails=3.0),
    "correlation": Shift(correlation=0.7),
    "category mix": Shift(mix=(0.15, 0.2, 0.35, 0.3)),
    "missing values appear": Shift(missing=0.4),
    "subpopulation mix": Shift(second=0.8),
    "truncation": Shift(select=_truncated),
    "selection by two inputs": Shift(select=_two),
    "selection of high scores": Shift(select=_score(1.0)),
    "selection of low scores": Shift(select=_score(-1.0)),
    "combined": Shift(mean=(0.5, 0, -0.5, 0, 0, 0), mix=(0.2, 0.3, 0.3, 0.2), missing=0.2),
    "far away": Shift(mean=(3.0, 3.0, 0, 0, 0, 0)),
    "prior": Shift("label", select=_truth(0.7)),
    "prior and input": Shift("label", select=_truth_and_input),
    "effect reversed": Shift("concept", flipped=True),
    "truth moved": Shift("concept", offset=1.0, noise=1.5),
}


@dataclass(frozen=True)
class World:
    """Six numbers and a category that decide, with noise, between classes or on a number."""

    classes: int
    """0 for a number."""

    def draw(
        self,
        rows: int,
        shift: Shift,
        generator: np.random.Generator,
        score: Callable[[pd.DataFrame], NDArray[Any]] | None = None,
    ) -> tuple[pd.DataFrame, NDArray[Any]]:
        """Return inputs and truth, [rows] each.

        Args:
            score: the number by which the model ranks rows, for shifts that select by it.
        """
        drawn = rows if shift.select is None else 4 * rows
        inputs = _inputs(drawn, shift, generator)
        truth = self._truth(inputs, shift, generator)
        # Missing by chance alone: otherwise the truth for given inputs would change too.
        inputs.loc[generator.random(drawn) < shift.missing, "x2"] = np.nan
        if shift.select is None:
            return inputs, truth
        scores = score(inputs) if score else truth
        logs = shift.select(inputs, truth, scores) + generator.gumbel(size=drawn)
        chosen = np.sort(np.argpartition(-logs, rows - 1)[:rows])
        return inputs.iloc[chosen].reset_index(drop=True), truth[chosen]

    def _truth(
        self, inputs: pd.DataFrame, shift: Shift, generator: np.random.Generator
    ) -> NDArray[Any]:
        x = inputs[[f"x{i}" for i in range(COLUMNS)]].to_numpy().T
        of_category = inputs["c"].map({"a": 0.0, "b": 0.6, "c": -0.9, "d": 1.4}).to_numpy()
        first = -x[0] if shift.flipped else x[0]
        level = first + 0.7 * x[1] * x[2] + 0.8 * np.sin(2 * x[3]) + of_category - 0.8
        level = level + shift.offset
        if self.classes == 0:
            spread = shift.noise * (0.4 + 0.4 * np.abs(x[1]) + 0.3 * (x[4] > 0))
            return np.asarray(level + spread * generator.normal(size=len(x[0])))
        second = level if self.classes == 2 else 0.5 * x[4] - x[5]
        logits = np.stack([np.zeros_like(level), level, second][: self.classes], axis=1)
        noise = shift.noise * generator.gumbel(size=logits.shape)
        return np.asarray((logits + noise).argmax(axis=1))


def _inputs(rows: int, shift: Shift, generator: np.random.Generator) -> pd.DataFrame:
    covariance = np.full((COLUMNS, COLUMNS), shift.correlation)
    np.fill_diagonal(covariance, 1)
    x = generator.multivariate_normal(np.zeros(COLUMNS), covariance, rows)
    if shift.tails:
        x /= np.sqrt(generator.chisquare(shift.tails, (rows, 1)) / shift.tails)
    x = x * shift.spread + shift.mean
    x[:, 3:5] += 1.5 * (generator.random(rows) < shift.second)[:, None]
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(COLUMNS)])
    frame["c"] = generator.choice(["a", "b", "c", "d"], rows, p=shift.mix)
    return frame


def _unit(values: NDArray[Any]) -> NDArray[Any]:
    spread = values.std()
    return np.asarray((values - values.mean()) / (spread or 1))
