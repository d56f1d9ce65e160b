"""Plots of equal predictions are drawn once by each test process: equal figures have equal bytes.

To draw them takes a third of the CPU of a pipeline with a small model, and most tests evaluate one
of the same few models.
"""

import pickle
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

_Draw = Callable[[Any, Sequence[str], str], dict[str, bytes]]


def keep_plots() -> None:
    """Let `evaluate`, once it is imported, keep the plots that it draws."""
    stage = sys.modules.get("factory_assets.stages.evaluate")
    if stage is not None and not hasattr(stage.evaluation_plots, "kept"):
        stage.evaluation_plots = _keeping(stage.evaluation_plots)  # type: ignore[attr-defined]


def _keeping(draw: _Draw) -> _Draw:
    drawn: dict[bytes, dict[str, bytes]] = {}

    def plots(scored: Any, classes: Sequence[str], target: str) -> dict[str, bytes]:
        asked = sha256(pickle.dumps((scored, [*classes], target))).digest()
        if asked not in drawn:
            drawn[asked] = draw(scored, classes, target)
        return dict(drawn[asked])

    plots.kept = True  # type: ignore[attr-defined]
    return plots
