"""Image files in, text out: every picture in one size, written so that a table can hold it.

`28x28x1:` and then the pixels in base64, row by row, a byte a colour. Files come from anywhere:
only PNG and JPEG are tried, and none is unpacked beyond a bound.
"""

import base64
import io
import warnings

MOST_BYTES = 64 * 2**20

MOST_PIXELS = 50_000_000

FORMATS = ("PNG", "JPEG")

SUFFIXES = (".png", ".jpg", ".jpeg")


def written(content: bytes, size: int, *, grey: bool) -> str | None:
    """The picture as text; None where there is none in the content, or too large a one."""
    from PIL import Image, ImageOps

    if len(content) > MOST_BYTES:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Only the header is read so far.
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    return None
                # As a camera was held, not as its sensor lay.
                upright = ImageOps.exif_transpose(image).convert("L" if grey else "RGB")
    # What a broken file makes its decoder say.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombWarning):
        return None
    except Image.DecompressionBombError:
        return None
    small = upright.resize((size, size), Image.Resampling.BILINEAR)
    return f"{size}x{size}x{1 if grey else 3}:{base64.b64encode(small.tobytes()).decode()}"
