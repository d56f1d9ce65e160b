"""Text inputs: columns of text that a local sentence encoder turns into numbers.

The encoder itself belongs in `factory_resources/encoders/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_assets.results.base import StageResult
from factory_resources.encoders.sentence_encoder import encoder, encoder_digest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class Text(StageResult):
    """A text input and the encoder that reads it."""

    name: str
    encoder: str
    """As declared: the name of an installed package, or a folder."""
    digest: str
    """SHA-256 of the encoder's files; an encoder with another digest is refused."""
    width: int

    def read(self, table: pa.Table) -> NDArray[np.float32]:
        """Return [rows, width]; a missing text is read as an empty one.

        Raises:
            ModelError: if the encoder is missing or has another digest.
        """
        texts = ["" if text is None else str(text) for text in table[self.name].to_pylist()]
        return encoder(self.encoder, self.digest).encode(texts)


def describe_text(name: str, declared: str) -> Text:
    """Describe a text input by its declared encoder.

    Raises:
        ModelError: if there is no such encoder.
    """
    digest = encoder_digest(declared)
    width = encoder(declared).width
    return Text(name=name, encoder=declared, digest=digest, width=width)
