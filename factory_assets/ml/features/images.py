"""A column of pictures as numbers: each a text that begins with its size, such as `28x28x1:`.

How files become such texts is in `factory_resources/sources/files/images.py`.
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
    """An input of pictures, all of one size."""

    name: str
    height: int
    width: int
    colours: int

    @property
    def numbers(self) -> int:
        """How many each picture has."""
        return self.height * self.width * self.colours

    @property
    def _size(self) -> str:
        return f"{self.height}x{self.width}x{self.colours}:"

    def read(self, table: pa.Table) -> NDArray[np.uint8]:
        """[rows, numbers], row by row of pixels, the colours of a pixel together.

        Raises:
            DataError: a picture is missing, or of another size.
        """
        import base64
        import binascii

        import numpy as np

        found = np.empty((table.num_rows, self.numbers), dtype=np.uint8)
        for row, text in enumerate(table[self.name].to_pylist()):
            size, colon, pixels = str(text or "").partition(":")
            try:
                content = base64.b64decode(pixels, validate=True)
            except binascii.Error:
                content = b""
            if size + colon != self._size or len(content) != self.numbers:
                raise _no_picture(self.name, size if colon else "", self._size.rstrip(":"))
            found[row] = np.frombuffer(content, dtype=np.uint8)
        return found


def fit_picture(training: pa.Table, name: str) -> Picture:
    """Of the size of the first one.

    Raises:
        DataError: when the column holds no pictures.
    """
    import re

    import pyarrow.compute as pc

    present = pc.drop_null(training[name])
    first = str(present[0].as_py()) if len(present) else ""
    size = re.match(r"(\d{1,4})x(\d{1,4})x([13]):", first)
    if not size:
        raise _no_picture(name, "", "such as an image source gives")
    height, width, colours = map(int, size.groups())
    return Picture(name=name, height=height, width=width, colours=colours)


def _no_picture(name: str, found: str, wanted: str) -> DataError:
    what = f"one of {found}" if found else "a row without one"
    return DataError(
        f"column {name!r} holds {what}, not a picture of {wanted}",
        where="train.model.image",
        remedy=f"promise {{name: {name}, type: string, nullable: false}} in the contract: broken "
        "images go to quarantine",
    )
