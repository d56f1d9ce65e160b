"""The shared style of all plots: size, colours, labels, PNG encoding.

The plots themselves belong in the other modules of this package. The colours are those of Okabe
and Ito, which colour-blind people can distinguish. `pyplot` is not used: its global list of figures
would grow with every run of a long-lived process.
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
"""Maximum points of a curve: more points than pixels only make a plot slower and larger."""


def figure(**grid: Any) -> tuple[Figure, Any]:
    """Create an empty figure of 480 x 360 pixels and its axes.

    Args:
        grid: arguments of `Figure.subplots`; if given, an array of axes is returned.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    drawing = Figure(
        figsize=(4.8, 3.6), dpi=100, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06)
    )
    axes = drawing.subplots(**grid)
    for one in axes if grid else [axes]:
        one.spines[["top", "right"]].set_visible(False)
        one.spines[["left", "bottom"]].set_color(GREY)
        one.tick_params(labelsize=8, color=GREY, labelcolor=INK)
        one.grid(color="#e6e8eb", linewidth=0.7)
        one.set_axisbelow(True)
    return drawing, axes


def label(axes: Axes, *, title: str = "", x: str = "", y: str = "", legend: bool = False) -> None:
    """Label the axes. Text may come from users' data, so it is never parsed as mathematics."""
    common: dict[str, Any] = {"color": INK, "parse_math": False}
    axes.set_title(one_line(title, 60), fontsize=10, loc="left", **common)
    axes.set_xlabel(one_line(x, 50), fontsize=9, **common)
    axes.set_ylabel(one_line(y, 40), fontsize=9, **common)
    if legend:
        for text in axes.legend(fontsize=8, frameon=False, labelcolor=INK).get_texts():
            text.set_parse_math(False)


def one_line(text: str, length: int = 18) -> str:
    """Return `text` on one line of printable characters, cut to a length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def thin(x: NDArray[Any], y: NDArray[Any]) -> list[NDArray[Any]]:
    """Reduce a curve to at most `POINTS` points, evenly along its length, including both ends."""
    import numpy as np

    distance = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    points = np.unique(np.searchsorted(distance, np.linspace(0, distance[-1], POINTS)))
    return [x[points], y[points]]


def png(drawing: Figure) -> bytes:
    """Encode a figure as PNG with 128 colours; equal figures give equal bytes.

    The reduced palette takes less than half the bytes. Of Pillow's palettes, this one is the
    nearest to the colours that were drawn, and is found in half the time of the default. To look
    for the smallest file would take longer than that, for a tenth of the bytes.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas: Any = FigureCanvasAgg(drawing)
    with warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes, which needs no warning.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    buffer = io.BytesIO()
    reduced = picture.quantize(128, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    reduced.save(buffer, format="png")
    return buffer.getvalue()
