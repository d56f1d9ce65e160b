"""Image inputs: columns of images as pixel values.

An image is stored as a text: its size, such as `28x28x1:`, and then its pixels in base64. How
files become such texts belongs in `factory_resources/sources/files/images.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_assets.ml.features.columns import is_text
from factory_assets.results.base import StageResult
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class Picture(StageResult):
    """An image input; all images have the same size."""

    name: str
    height: int
    width: int
    colours: int

    @property
    def numbers(self) -> int:
        """The number of pixel values of one image."""
        return self.height * self.width * self.colours

    @property
    def _size(self) -> str:
        return f"{self.height}x{self.width}x{self.colours}:"

    def read(self, table: pa.Table) -> NDArray[np.uint8]:
        """Return [rows, numbers]: pixels line by line, the colours of a pixel side by side.

        Raises:
            DataError: if an image is missing, unreadable or of another size.
        """
        import numpy as np

        pictures = np.empty((table.num_rows, self.numbers), dtype=np.uint8)
        for row, text in enumerate(table[self.name].to_pylist()):
            content = self.pixels(str(text or ""))
            if content is None:
                expected = f"an image of size {self._size.rstrip(':')}"
                raise _not_a_picture(self.name, str(text or ""), expected)
            pictures[row] = np.frombuffer(content, dtype=np.uint8)
        return pictures

    def pixels(self, text: str) -> bytes | None:
        """Return the pixels; None if the text is not an image of this size."""
        import base64

        size, colon, pixels = text.partition(":")
        try:
            content = base64.b64decode(pixels, validate=True)
        # Not base64, or not ASCII.
        except ValueError:
            return None
        return content if size + colon == self._size and len(content) == self.numbers else None


def fit_picture(training: pa.Table, name: str) -> Picture:
    """Describe an image input, with the size of the first image in the training rows.

    Raises:
        DataError: if it is no column of images, by its type or the first value that is not missing.
    """
    import pyarrow.compute as pc

    kind = training.schema.field(name).type
    if not is_text(kind):
        raise DataError(
            f"column {name!r} holds {kind}, not images",
            where="train.model.image",
            remedy="name the column of images, which is `pixels` of a source of images",
        )
    present = pc.drop_null(training[name])
    first = str(present[0].as_py()) if len(present) else ""
    size = _size_of(first)
    if not size:
        raise _not_a_picture(name, first, "images from an image source")
    height, width, colours = map(int, size.split("x"))
    return Picture(name=name, height=height, width=width, colours=colours)


def _size_of(text: str) -> str:
    """Return the size that an image begins with; "" of any other text, which is not shown."""
    import re

    size = re.match(r"([1-9]\d{0,3}x[1-9]\d{0,3}x[13]):", text)
    return size[1] if size else ""


def _not_a_picture(name: str, text: str, expected: str) -> DataError:
    size = _size_of(text)
    actual = f"an image of size {size}" if size else "a row without an image"
    if expected == actual:
        actual = "an image that lacks pixels"
    return DataError(
        f"column {name!r} holds {actual}, expected {expected}",
        where="train.model.image",
        remedy=f"declare {{name: {name}, type: string, nullable: false}} in the contract, so that "
        "broken images go to quarantine",
    )
