"""A column of text as numbers, by a sentence encoder on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_assets.results.base import StageResult
from factory_resources.encoders.sentence_encoder import encoder, encoder_digest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class Text(StageResult):
    """An input of text."""

    name: str
    encoder: str
    """As declared: an installed package, or a folder."""
    digest: str
    """Of the encoder's files: no other may stand in for it."""
    width: int

    def read(self, table: pa.Table) -> NDArray[np.float32]:
        """[rows, width]; a missing text is an empty one.

        Raises:
            ModelError: when the encoder is gone, or another one.
        """
        texts = ["" if text is None else str(text) for text in table[self.name].to_pylist()]
        return encoder(self.encoder, self.digest).encode(texts)


def text_input(name: str, declared: str) -> Text:
    """Raises ModelError when there is no such encoder."""
    digest = encoder_digest(declared)
    width = encoder(declared).width
    return Text(name=name, encoder=declared, digest=digest, width=width)
