"""Plots of equal predictions are drawn once by all processes: equal figures have equal bytes.

To draw them takes a third of the CPU of a pipeline with a small model, and most tests evaluate one
of the same few models.
"""

import pickle
import sys
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.shared_homes import written_once

_Draw = Callable[[Any, Sequence[str], str], dict[str, bytes]]


def keep_plots(folder: Path) -> None:
    """Let `evaluate`, once it is imported, keep the plots that it draws.

    Args:
        folder: that all processes share.
    """
    stage = sys.modules.get("factory_assets.stages.evaluate")
    if stage is not None and not hasattr(stage.evaluation_plots, "kept"):
        stage.evaluation_plots = _keeping(stage.evaluation_plots, folder)  # type: ignore[attr-defined]


def _keeping(draw: _Draw, folder: Path) -> _Draw:
    def plots(scored: Any, classes: Sequence[str], target: str) -> dict[str, bytes]:
        asked = sha256(pickle.dumps((scored, [*classes], target))).hexdigest()
        file = folder / f"plots-{asked}"
        drawn = partial(draw, scored, classes, target)
        written_once(file, lambda part: part.write_bytes(pickle.dumps(drawn())))
        found: dict[str, bytes] = pickle.loads(file.read_bytes())
        return found

    plots.kept = True  # type: ignore[attr-defined]
    return plots
