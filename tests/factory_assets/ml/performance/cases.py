"""A world whose model knows the true probabilities, or the true mean."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from factory_assets.ml.performance.labelled_rows import Labelled


@dataclass(frozen=True)
class Population:
    """Rows with two numbers and a category, of which the first number and the category decide."""

    mean: float = 0.0
    """Of the first number."""
    rare: float = 0.2
    """The share of the rarer value of the category."""
    word: str = "b"
    """The rarer value."""

    def draw(self, rows: int, classes: int, seed: int) -> Labelled:
        """Draw rows with outputs of two or three classes, or (0) of numbers."""
        generator = np.random.default_rng(seed)
        first = generator.normal(self.mean, 1, rows)
        second = generator.normal(size=rows)
        other = generator.random(rows) < self.rare
        inputs = pa.table(
            {
                "first": first,
                "second": pa.array(second, mask=generator.random(rows) < 0.1),
                "word": np.where(other, self.word, "a"),
                "when": pa.array([0] * rows, pa.timestamp("s")),
            }
        )
        level = 1.2 * first - 0.5 + other
        if not classes:
            noise = generator.normal(size=rows) * (0.3 + 0.5 * (first > 0))
            return Labelled(inputs, level, level + noise)
        logits = np.stack([np.zeros(rows), level, -level][:classes], axis=1)
        return Labelled(inputs, softmax(logits), drawn(softmax(logits), generator))


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    unit: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return unit


def drawn(chances: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.int64]:
    beyond = chances.cumsum(axis=1) < generator.random((len(chances), 1))
    codes: NDArray[np.int64] = beyond[:, :-1].sum(axis=1)
    return codes
