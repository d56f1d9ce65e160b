"""How the files of one model differ from those of another: which, where in them, and by how much.

Of what is not a learned number only the place is told: a vocabulary may hold what is nobody's
business.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from factory_assets.ml.artifacts.trained_model import MANIFEST
from factory_assets.results.base import StageResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Arrays = Mapping[str, "NDArray[np.generic]"]


class Apart(StageResult):
    """One place of a file that is not as it was."""

    at: str
    """The tensor, the array, or the path in the JSON."""
    difference: float | None = None
    """The largest absolute difference of its numbers; None where they cannot be compared."""
    what: str = ""
    """Why not."""


class FileApart(StageResult):
    """One file that is not as it was."""

    name: str
    state: str
    """`other`, `missing` or `new`."""
    places: tuple[Apart, ...] = ()


def compare(before: Path, now: Path) -> tuple[FileApart, ...]:
    """Every file that is in one folder alone, or of other bytes; manifests aside."""
    return tuple(_compare(before, now))


def _compare(before: Path, now: Path) -> Iterator[FileApart]:
    old, new = ({p.name for p in folder.iterdir()} - {MANIFEST} for folder in (before, now))
    for name in sorted(old | new):
        if name not in new:
            yield FileApart(name=name, state="missing")
        elif name not in old:
            yield FileApart(name=name, state="new")
        elif (before / name).read_bytes() != (now / name).read_bytes():
            yield FileApart(name=name, state="other", places=tuple(_places(before, now, name)))


def _places(before: Path, now: Path, name: str) -> Iterable[Apart]:
    match Path(name).suffix:
        case ".safetensors":
            from safetensors.numpy import load_file

            return _of_arrays(load_file(before / name), load_file(now / name))
        case ".skops":
            old, new = _zipped(before / name), _zipped(now / name)
            return [*_of_arrays(old[0], new[0]), *_of_json(old[1], new[1])]
        case ".json":
            return _of_json(*(json.loads((f / name).read_bytes()) for f in (before, now)))
        case _:
            return [Apart(at="", what="other bytes")]


def _zipped(path: Path) -> tuple[dict[str, NDArray[np.generic]], Any]:
    """The arrays of a skops file, field by field, and its description."""
    import numpy as np

    arrays: dict[str, NDArray[np.generic]] = {}
    with ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".npy"):
                array = np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
                fields = array.dtype.names
                arrays |= {f"{name}.{f}": array[f] for f in fields} if fields else {name: array}
        return arrays, json.loads(archive.read("schema.json"))


def _of_arrays(old: Arrays, new: Arrays) -> Iterator[Apart]:
    import numpy as np

    for name in sorted({*old, *new}):
        if name not in new or name not in old:
            yield Apart(at=name, what="missing" if name in old else "new")
            continue
        before, now = old[name], new[name]
        if before.shape != now.shape or before.dtype != now.dtype:
            was, is_now = (f"{a.dtype}{list(a.shape)}" for a in (before, now))
            yield Apart(at=name, what=f"{was} is now {is_now}")
        elif before.tobytes() != now.tobytes():
            if not np.issubdtype(before.dtype, np.number):
                yield Apart(at=name, what="other values")
                continue
            gap = np.abs(before.astype(np.float64) - now.astype(np.float64))
            largest = float(gap.max())
            if isfinite(largest):
                yield Apart(at=name, difference=largest)
            else:
                yield Apart(at=name, what="not all are numbers")


def _of_json(old: Any, new: Any, at: str = "") -> Iterator[Apart]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            inner = f"{at}.{key}" if at else key
            if key not in new or key not in old:
                yield Apart(at=inner, what="missing" if key in old else "new")
            else:
                yield from _of_json(old[key], new[key], inner)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, now) in enumerate(zip(old, new, strict=True)):
            yield from _of_json(before, now, f"{at}[{index}]")
    elif old != new:
        numbers = all(type(value) in (int, float) for value in (old, new))
        if numbers:
            yield Apart(at=at, difference=abs(float(old) - float(new)))
        else:
            yield Apart(at=at, what="other")
