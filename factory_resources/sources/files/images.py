"""Turn image files into pictures of one size, as text that a table can store.

The text begins like `28x28x1:` and goes on with the pixels in base64, row by row, with one byte per
colour. Files are not trusted: only PNG and JPEG are decoded, up to a limit of size.
"""

import base64
import io
import struct
import warnings
import zlib
from typing import TYPE_CHECKING

from factory_resources.sources.files.discovery import File, unreadable

if TYPE_CHECKING:
    from PIL import Image

MOST_BYTES = 64 * 2**20
"""Of a file that is decoded."""

MOST_PIXELS = 50_000_000

FORMATS = ("PNG", "JPEG")

SUFFIXES = (".png", ".jpg", ".jpeg")


def read_picture(file: File, size: int, *, grey: bool) -> str | None:
    """Return the picture in a file as text; None if the file is not a picture, or too large.

    Raises:
        SourceError: the file cannot be read.
    """
    try:
        with file.path.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise unreadable(file.name, error) from error
    return encode_picture(content, size, grey=grey)


def encode_picture(content: bytes, size: int, *, grey: bool) -> str | None:
    """Return the picture as text; None if the content is not a picture, or too large."""
    from PIL import Image

    if len(content) > MOST_BYTES:
        return None
    try:
        with warnings.catch_warnings():
            # Decoders warn of whatever is odd in a file, which is either read or not.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Only the header is read so far.
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    return None
                upright = _upright(_of_8_bits(image)).convert("L" if grey else "RGB")
    # The decoders raise these for a file that is broken or too large; most of them only for bytes
    # that nobody has thought of.
    except (
        *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error),
        *(AssertionError, ArithmeticError, AttributeError, LookupError, TypeError),
        *(Image.DecompressionBombWarning, Image.DecompressionBombError),
    ):
        return None
    small = upright.resize((size, size), Image.Resampling.BILINEAR)
    return f"{size}x{size}x{1 if grey else 3}:{base64.b64encode(small.tobytes()).decode()}"


def _of_8_bits(image: "Image.Image") -> "Image.Image":
    """Return grey of 16 bits as grey of 8 bits; Pillow's own conversion would clip it to white."""
    if not image.mode.startswith("I;16"):
        return image
    import numpy as np
    from PIL import Image

    bright = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    bright.info = image.info
    return bright


def _upright(image: "Image.Image") -> "Image.Image":
    """Return the image upright, turned as its EXIF orientation says.

    `ImageOps.exif_transpose` writes the other EXIF data anew, and fails if one of them is odd.
    """
    from PIL import ExifTags, Image

    turns = Image.Transpose
    turn = {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)
