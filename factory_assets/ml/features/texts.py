"""Text inputs: columns of text that a local sentence encoder turns into numbers.

The encoder itself belongs in `factory_resources/encoders/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from factory_assets.ml.features.columns import is_text, read_categories
from factory_assets.results.base import StageResult
from factory_assets.spec import Cnn, Pipeline, SequenceNetwork
from factory_assets.spec.base import is_unset
from factory_resources.encoders.sentence_encoder import (
    DEFAULT_ENCODER,
    encoder,
    encoder_digest,
    has_default_encoder,
)

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


WORDS = 5
"""Mean number of words from which texts are sentences."""

MOST_TEXTS = 20_000
"""The most different sentences of a column that are read by default, so that training does not
take hours."""

LIKE_NUMBERS = 4
"""A text counts like so many standardised numbers, however many an encoder turns it into. If each
of them counted like one, a penalty would hardly restrain a linear model; figures are in
`docs/models.md`."""

_FEWEST, _FIRST = 20, 1000
"""At most so many different texts are categories; the first texts tell how many words they have."""


class Text(StageResult):
    """A text input and the encoder that reads it."""

    name: str
    encoder: str
    """As declared: the name of an installed package, or a folder."""
    digest: str
    """SHA-256 of the encoder's files; an encoder with another digest is refused."""
    width: int
    scale: Annotated[float | None, Field(exclude_if=is_unset)] = None
    """What a model multiplies the encoder's numbers by; None in models from before: nothing."""

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
    return Text(
        name=name,
        encoder=declared,
        digest=digest,
        width=width,
        scale=(LIKE_NUMBERS / width) ** 0.5,
    )


def is_read_by_default(pipeline: Pipeline, training: pa.Table, name: str) -> bool:
    """Whether the default encoder reads a column that no declared one reads."""
    return (
        _may_hold_sentences(pipeline, training, name)
        and has_default_encoder()
        and 0 < _count_sentences(training, name) <= MOST_TEXTS
    )


def unread_sentences(
    pipeline: Pipeline, training: pa.Table, categories: Iterable[str]
) -> Iterator[str]:
    """Yield a warning for each column whose sentences are taken for categories by default.

    Args:
        categories: the inputs that are read as categories.
    """
    for name in categories:
        count = _may_hold_sentences(pipeline, training, name) and _count_sentences(training, name)
        if count:
            many = f"{count:,} different sentences, more than the {MOST_TEXTS:,} read by default"
            what = many if has_default_encoder() else "sentences, and no encoder is installed"
            declared = f"declare train.text: {{{name}: {DEFAULT_ENCODER}}} to have them read"
            remedy = declared if has_default_encoder() else f"pip install {DEFAULT_ENCODER}"
            yield f"{name!r} holds {what}: they are taken for categories; {remedy}"


def _may_hold_sentences(pipeline: Pipeline, training: pa.Table, name: str) -> bool:
    train = pipeline.spec.training
    return (
        train.text is None
        and name not in train.categorical
        and is_text(training.schema.field(name).type)
        and not isinstance(train.model, Cnn | SequenceNetwork)
    )


def _count_sentences(training: pa.Table, name: str) -> int:
    """Return how many different sentences a column of text holds; 0 if it holds names.

    Most rows have a sentence of their own, whereas names repeat.
    """
    first = [text for text in training[name][:_FIRST].to_pylist() if text]
    if not first or sum(len(text.split()) for text in first) < WORDS * len(first):
        return 0
    column = read_categories(training, name)
    different = len(column.dictionary)
    present = len(column) - column.null_count
    return different if different > max(_FEWEST, present / 2) else 0
