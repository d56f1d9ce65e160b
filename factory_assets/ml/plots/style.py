"""How every picture looks: size, colours, labels, PNG bytes. Draws nothing of its own.

Colours are those of Okabe and Ito, told apart by colour-blind eyes. No pyplot: its global list of
figures would grow with every run of a long-lived process.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


BLUE, ORANGE, GREEN, PINK, SKY, RED, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8a8f98",
)  # fmt: skip

COLOURS = (BLUE, RED, GREEN, ORANGE, PINK, SKY, "#000000")

INK = "#2f3437"

POINTS = 500
"""A curve of more points than pixels only makes the picture slower and larger."""


def figure(**grid: Any) -> tuple[Figure, Any]:
    """An empty figure of 480 x 360 pixels and its axes; `grid` goes to `Figure.subplots`."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    made = Figure(
        figsize=(4.8, 3.6), dpi=100, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06)
    )
    axes = made.subplots(**grid)
    for one in axes if grid else [axes]:
        one.spines[["top", "right"]].set_visible(False)
        one.spines[["left", "bottom"]].set_color(GREY)
        one.tick_params(labelsize=8, color=GREY, labelcolor=INK)
        one.grid(color="#e6e8eb", linewidth=0.7)
        one.set_axisbelow(True)
    return made, axes


def label(axes: Axes, *, title: str = "", x: str = "", y: str = "", legend: bool = False) -> None:
    """Words on the axes. Names come from users' data, hence never read as mathematics."""
    common: dict[str, Any] = {"color": INK, "parse_math": False}
    axes.set_title(shown(title, 60), fontsize=10, loc="left", **common)
    axes.set_xlabel(shown(x, 50), fontsize=9, **common)
    axes.set_ylabel(shown(y, 40), fontsize=9, **common)
    if legend:
        for text in axes.legend(fontsize=8, frameon=False, labelcolor=INK).get_texts():
            text.set_parse_math(False)


def shown(text: str, length: int = 18) -> str:
    """`text` on one line, cut to a length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def thin(x: NDArray[Any], y: NDArray[Any]) -> list[NDArray[Any]]:
    """The same curve in at most `POINTS` points, evenly along its length; both ends kept."""
    import numpy as np

    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    places = np.unique(np.searchsorted(way, np.linspace(0, way[-1], POINTS)))
    return [x[places], y[places]]


def png(made: Figure) -> bytes:
    """The figure in 128 colours, a third of the bytes; the same bytes for the same drawing."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas: Any = FigureCanvasAgg(made)
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; that is no reason to warn.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    buffer = io.BytesIO()
    picture.quantize(128, dither=Image.Dither.NONE).save(buffer, format="png", optimize=True)
    return buffer.getvalue()
