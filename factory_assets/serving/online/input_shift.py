"""How far the numeric inputs of recent rows are from those of training, for the metrics.

A first sign of drift; whether a model must be trained again is not decided here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.trained_model import DESCRIPTION

if TYPE_CHECKING:
    from numpy.typing import NDArray


_RECENT = 1_000
"""Rows after which the weight of an old row has fallen to a third."""

_REQUESTS, _ROWS = 64, 2_000
"""Requests, or rows, that are added up at once."""


class InputShift:
    """The exponential mean of each input, in standard deviations from its mean in training.

    Args:
        training: mean and standard deviation of each numeric input.
    """

    def __init__(self, training: Mapping[str, tuple[float, float]]) -> None:
        self._training = dict(training)
        self._shift: dict[str, float] = {}
        self._waiting: list[Mapping[str, NDArray[Any]]] = []
        self._rows = 0
        self._lock = Lock()

    @classmethod
    def of(cls, files: Path) -> InputShift:
        """Read the statistics of training from the files of a version; none if they are gone."""
        try:
            described = json.loads((files / DESCRIPTION).read_bytes())["features"]["numeric"]
            return cls({one["name"]: (one["mean"], one["sd"]) for one in described})
        except (OSError, ValueError, KeyError, TypeError):
            # They change no prediction, so nobody waits for them.
            return cls({})

    @property
    def names(self) -> tuple[str, ...]:
        """The numeric inputs."""
        return tuple(self._training)

    def add(self, feed: Mapping[str, NDArray[Any]], rows: int) -> None:
        """Count the inputs of a request, each [rows, 1] or [rows], NaN if missing."""
        with self._lock:
            self._waiting.append(feed)
            self._rows += rows
            if len(self._waiting) >= _REQUESTS or self._rows >= _ROWS:
                self._fold()

    def values(self) -> dict[str, float]:
        """Return the shift of each input that was seen."""
        with self._lock:
            self._fold()
            return dict(self._shift)

    def _fold(self) -> None:
        import numpy as np

        waiting, self._waiting, self._rows = self._waiting, [], 0
        if not waiting:
            return
        for name, (mean, sd) in self._training.items():
            values = np.concatenate([feed[name].ravel() for feed in waiting])
            values = values[~np.isnan(values)]
            if not len(values):
                continue
            shift = (float(values.mean(dtype=np.float64)) - mean) / sd
            if name in self._shift:
                weight = 1 - (1 - 1 / _RECENT) ** len(values)
                shift = self._shift[name] + weight * (shift - self._shift[name])
            self._shift[name] = shift
