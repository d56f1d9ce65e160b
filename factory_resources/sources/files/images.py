"""Turn image files into pictures of one size, as text that a table can store.

The text is such as `28x28x1:`, followed by the pixels in base64, row by row, one byte per colour.
Files are not trusted: only PNG and JPEG are decoded, and only up to a limit of size.
"""

import base64
import io
import warnings

MOST_BYTES = 64 * 2**20

MOST_PIXELS = 50_000_000

FORMATS = ("PNG", "JPEG")

SUFFIXES = (".png", ".jpg", ".jpeg")


def written(content: bytes, size: int, *, grey: bool) -> str | None:
    """Return the picture as text; None if the content is not a picture, or too large."""
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
                # Upright, according to the orientation that the camera stored.
                upright = ImageOps.exif_transpose(image).convert("L" if grey else "RGB")
    # What the decoders raise for a broken file.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombWarning):
        return None
    except Image.DecompressionBombError:
        return None
    small = upright.resize((size, size), Image.Resampling.BILINEAR)
    return f"{size}x{size}x{1 if grey else 3}:{base64.b64encode(small.tobytes()).decode()}"
