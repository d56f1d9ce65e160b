"""Picture inputs: columns of pictures as pixel values.

A picture is stored as a text: its size, such as `28x28x1:`, and then its pixels in base64. How
files become such texts belongs in `factory_resources/sources/files/images.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_assets.results.base import StageResult
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class Picture(StageResult):
    """A picture input; all pictures have the same size."""

    name: str
    height: int
    width: int
    colours: int

    @property
    def numbers(self) -> int:
        """The number of pixel values of one picture."""
        return self.height * self.width * self.colours

    @property
    def _size(self) -> str:
        return f"{self.height}x{self.width}x{self.colours}:"

    def read(self, table: pa.Table) -> NDArray[np.uint8]:
        """Return [rows, numbers]: pixels line by line, the colours of a pixel side by side.

        Raises:
            DataError: if a picture is missing, unreadable or of another size.
        """
        import base64
        import binascii

        import numpy as np

        pictures = np.empty((table.num_rows, self.numbers), dtype=np.uint8)
        for row, text in enumerate(table[self.name].to_pylist()):
            size, colon, pixels = str(text or "").partition(":")
            try:
                content = base64.b64decode(pixels, validate=True)
            except binascii.Error:
                content = b""
            if size + colon != self._size or len(content) != self.numbers:
                expected = f"a picture of size {self._size.rstrip(':')}"
                raise _not_a_picture(self.name, size if colon else "", expected)
            pictures[row] = np.frombuffer(content, dtype=np.uint8)
        return pictures


def fit_picture(training: pa.Table, name: str) -> Picture:
    """Describe a picture input, with the size of the first picture in the training rows.

    Raises:
        DataError: if the first value that is not missing is not a picture, or if there is none.
    """
    import re

    import pyarrow.compute as pc

    present = pc.drop_null(training[name])
    first = str(present[0].as_py()) if len(present) else ""
    size = re.match(r"(\d{1,4})x(\d{1,4})x([13]):", first)
    if not size:
        raise _not_a_picture(name, "", "pictures from an image source")
    height, width, colours = map(int, size.groups())
    return Picture(name=name, height=height, width=width, colours=colours)


def _not_a_picture(name: str, size: str, expected: str) -> DataError:
    actual = f"a picture of size {size}" if size else "a row without a picture"
    return DataError(
        f"column {name!r} holds {actual}, expected {expected}",
        where="train.model.image",
        remedy=f"declare {{name: {name}, type: string, nullable: false}} in the contract, so that "
        "broken images go to quarantine",
    )
