"""A sentence encoder on this machine: in an installed package or a folder, never from a hub.

It is what its three files hold, and known by their digest.
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


FILES = ("config.json", "model.safetensors", "tokenizer.json")

MOST_PIECES = 128
"""Pieces of a text that are read, about a hundred words."""

AT_ONCE = 32

DIGITS = 5
"""Rounded, so that a text has the same numbers, whichever others it is read with."""

REMEMBERED = 20_000
"""Texts whose numbers are kept for the next time."""


class Encoder:
    """Texts to numbers: [texts, width], of mean square about 1."""

    def __init__(self, folder: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from factory_resources.encoders.bert import bert

        try:
            about: dict[str, Any] = json.loads((folder / FILES[0]).read_text(encoding="utf-8"))
            if (about["model_type"], about["hidden_act"]) != ("bert", "gelu"):
                raise ValueError(f"model_type {about['model_type']}, act {about['hidden_act']}")
            self._module = bert(about, load_file(folder / FILES[1]))
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            RuntimeError,
            SafetensorError,
        ) as error:
            raise ModelError(
                f"is no encoder that can be read: {error}",
                where=str(folder),
                remedy="take one of the BERT kind, such as MiniLM",
            ) from error
        self._pieces = WordPieces.read(folder / FILES[2])
        self._most = min(MOST_PIECES, int(about["max_position_embeddings"]))
        self.width = int(about["hidden_size"])
        self._known: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """[texts, width]; each distinct text is read once."""
        import numpy as np

        new = sorted(set(texts) - self._known.keys())
        found = dict(zip(new, self._read(new), strict=True))
        vectors = [found[t] if t in found else self._known[t] for t in texts]
        if len(self._known) + len(found) <= REMEMBERED:
            self._known |= found
        empty: NDArray[np.float32] = np.empty((0, self.width), dtype=np.float32)
        return np.stack(vectors) if vectors else empty

    def _read(self, texts: Sequence[str]) -> "list[NDArray[np.float32]]":
        import numpy as np
        import torch

        numbered = [self._pieces.numbers(text, self._most) for text in texts]
        # Equally long ones together: then nothing is padded, and nothing need be masked.
        order = sorted(range(len(texts)), key=lambda i: (len(numbered[i]), i))
        found: dict[int, NDArray[np.float32]] = {}
        while order:
            length = len(numbered[order[0]])
            batch = [i for i in order[:AT_ONCE] if len(numbered[i]) == length]
            order = order[len(batch) :]
            with torch.inference_mode():
                said = self._module(torch.tensor([numbered[i] for i in batch])).numpy()
            scaled = np.round(said * np.float32(self.width**0.5), DIGITS)
            found |= dict(zip(batch, scaled, strict=True))
        return [found[i] for i in range(len(texts))]


def encoder_folder(name: str) -> Path:
    """Where the files of an encoder are.

    Args:
        name: an installed package that carries them, or a folder: absolute, or `${FACTORY_…}/…`.

    Raises:
        ModelError: when there are none.
    """
    if "/" in name:
        tried = [Path(expand(name))]
    else:
        try:
            spec = find_spec(name.replace("-", "_"))
        except (ImportError, ValueError):
            spec = None
        places = (spec and spec.submodule_search_locations) or ()
        tried = [path for place in places for path in (Path(place), *sorted(Path(place).glob("*")))]
    for folder in tried:
        if all((folder / file).is_file() for file in FILES):
            return folder
    raise ModelError(
        f"there is no encoder {name!r}",
        where="train.text",
        remedy=f"install the package of that name, or name a folder with {', '.join(FILES)}",
    )


def encoder_digest(name: str) -> str:
    """SHA-256 over its files.

    Raises:
        ModelError: when there are none.
    """
    folder = encoder_folder(name)
    stamps = tuple((folder / file).stat() for file in FILES)
    return _digest(folder, tuple((stamp.st_size, stamp.st_mtime_ns) for stamp in stamps))


@lru_cache(maxsize=8)
def _digest(folder: Path, stamps: tuple[tuple[int, int], ...]) -> str:
    whole = sha256()
    for file in FILES:
        with (folder / file).open("rb") as opened:
            while part := opened.read(2**22):
                whole.update(part)
        whole.update(file.encode())
    return whole.hexdigest()


def encoder(name: str, digest: str | None = None) -> Encoder:
    """Loaded, and kept for the next time.

    Raises:
        ModelError: when it is not there, or is another than that of the digest.
    """
    found = encoder_digest(name)
    if digest not in {None, found}:
        raise ModelError(
            f"encoder {name!r} is not the one that the model was trained with",
            where="train.text",
            remedy="install that one again, or train a new model",
        )
    return _loaded(encoder_folder(name), found)


@lru_cache(maxsize=2)
def _loaded(folder: Path, digest: str) -> Encoder:
    return Encoder(folder)
