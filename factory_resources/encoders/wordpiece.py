"""Split text into numbered word pieces, as BERT's uncased tokeniser does.

The usual package for that would bring the client of a model hub along.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory_resources.errors import ModelError

LONGEST_WORD = 100
"""Characters; a longer word is unknown."""

_CHINESE_RANGES = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


@dataclass(frozen=True)
class WordPieces:
    """A vocabulary, and the rules that split text into its pieces."""

    vocabulary: Mapping[str, int]
    lower: bool
    strips: bool
    """Whether accents are taken off, as by default where words become lower case."""
    parts_chinese: bool
    """Whether each Chinese character is a word of its own, as by default."""

    @property
    def is_usual(self) -> bool:
        """Whether all but `lower` is as by default."""
        return self.strips == self.lower and self.parts_chinese

    @classmethod
    def read(cls, file: Path) -> "WordPieces":
        """Read a `tokenizer.json`.

        Raises:
            ModelError: the file is unreadable, or of another kind.
        """
        try:
            content: Any = json.loads(file.read_text(encoding="utf-8"))
            model, rules = content["model"], content["normalizer"]
            supported = model["type"] == "WordPiece" and rules["type"] == "BertNormalizer"
            complete = {"[CLS]", "[SEP]", "[UNK]"} <= set(model["vocab"])
            lower, strips = bool(rules["lowercase"]), rules.get("strip_accents")
            parts_chinese = bool(rules.get("handle_chinese_chars", True))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{file.name} cannot be read: {error}", where=str(file), remedy=_REMEDY
            ) from error
        if not (supported and complete):
            raise ModelError("is not a BERT tokeniser", where=str(file), remedy=_REMEDY)
        return cls(model["vocab"], lower, lower if strips is None else bool(strips), parts_chinese)

    def numbers(self, text: str, limit: int) -> list[int]:
        """Return the numbers of `[CLS] … [SEP]`, at most `limit`; a longer text is cut."""
        first, last = self.vocabulary["[CLS]"], self.vocabulary["[SEP]"]
        pieces: list[int] = []
        for word in self._words(text):
            pieces += self._pieces(word)
            if len(pieces) >= limit - 2:
                break
        return [first, *pieces[: limit - 2], last]

    def _words(self, text: str) -> Iterator[str]:
        plain = "".join(_clean(character, parts=self.parts_chinese) for character in text)
        if self.strips:
            plain = "".join(
                c for c in unicodedata.normalize("NFD", plain) if unicodedata.category(c) != "Mn"
            )
        if self.lower:
            plain = plain.lower()
        for word in plain.split():
            start = 0
            for position, character in enumerate(word):
                if _is_punctuation(character):
                    if position > start:
                        yield word[start:position]
                    yield character
                    start = position + 1
            if start < len(word):
                yield word[start:]

    def _pieces(self, word: str) -> list[int]:
        """Split off the longest known beginning repeatedly; a word without one is unknown."""
        unknown = [self.vocabulary["[UNK]"]]
        if len(word) > LONGEST_WORD:
            return unknown
        pieces: list[int] = []
        start = 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = word[start:end] if start == 0 else f"##{word[start:end]}"
                if piece in self.vocabulary:
                    pieces.append(self.vocabulary[piece])
                    start = end
                    break
            else:
                return unknown
        return pieces


def _clean(character: str, *, parts: bool) -> str:
    code = ord(character)
    if character in "\t\n\r" or unicodedata.category(character) == "Zs":
        return " "
    if code in (0, 0xFFFD) or unicodedata.category(character).startswith("C"):
        return ""
    if parts and any(low <= code <= high for low, high in _CHINESE_RANGES):
        return f" {character} "
    return character


def _is_punctuation(character: str) -> bool:
    code = ord(character)
    is_ascii = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return is_ascii or unicodedata.category(character).startswith("P")


_REMEDY = "use a BERT encoder, such as MiniLM"
