"""Compare the files of two models: which differ, where in them, and by how much.

Only for numbers is the difference reported, otherwise only the place: a vocabulary may contain
sensitive values.
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


class Difference(StageResult):
    """One place in a file that differs."""

    at: str
    """The tensor, the array, or the path in the JSON."""
    difference: float | None = None
    """Largest absolute difference of the numbers; None if they cannot be compared."""
    what: str = ""
    """How the place differs, if not by a number."""


class FileDifference(StageResult):
    """One file that differs."""

    name: str
    state: str
    """`other`, `missing` or `new`."""
    places: tuple[Difference, ...] = ()


def compare(before: Path, now: Path) -> tuple[FileDifference, ...]:
    """Return every file that is in only one of the folders or has other bytes, except manifests."""
    return tuple(_compare(before, now))


def _compare(before: Path, now: Path) -> Iterator[FileDifference]:
    old, new = ({p.name for p in folder.iterdir()} - {MANIFEST} for folder in (before, now))
    for name in sorted(old | new):
        if name not in new:
            yield FileDifference(name=name, state="missing")
        elif name not in old:
            yield FileDifference(name=name, state="new")
        elif (before / name).read_bytes() != (now / name).read_bytes():
            yield FileDifference(
                name=name, state="other", places=tuple(_differences(before, now, name))
            )


def _differences(before: Path, now: Path, name: str) -> Iterable[Difference]:
    match Path(name).suffix:
        case ".safetensors":
            from safetensors.numpy import load_file

            return _array_differences(load_file(before / name), load_file(now / name))
        case ".skops":
            old, new = _skops_content(before / name), _skops_content(now / name)
            return [*_array_differences(old[0], new[0]), *_json_differences(old[1], new[1])]
        case ".json":
            return _json_differences(*(json.loads((f / name).read_bytes()) for f in (before, now)))
        case _:
            return [Difference(at="", what="other bytes")]


def _skops_content(path: Path) -> tuple[dict[str, NDArray[np.generic]], Any]:
    """Return the arrays of a skops file, field by field, and its JSON description."""
    import numpy as np

    arrays: dict[str, NDArray[np.generic]] = {}
    with ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".npy"):
                array = np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
                fields = array.dtype.names
                arrays |= {f"{name}.{f}": array[f] for f in fields} if fields else {name: array}
        return arrays, json.loads(archive.read("schema.json"))


def _array_differences(old: Arrays, new: Arrays) -> Iterator[Difference]:
    import numpy as np

    for name in sorted({*old, *new}):
        if name not in new or name not in old:
            yield Difference(at=name, what="missing" if name in old else "new")
            continue
        before, now = old[name], new[name]
        if before.shape != now.shape or before.dtype != now.dtype:
            was, is_now = (f"{a.dtype}{list(a.shape)}" for a in (before, now))
            yield Difference(at=name, what=f"{was} is now {is_now}")
        elif before.tobytes() != now.tobytes():
            if not np.issubdtype(before.dtype, np.number):
                yield Difference(at=name, what="other values")
                continue
            gap = np.abs(before.astype(np.float64) - now.astype(np.float64))
            largest = float(gap.max())
            if isfinite(largest):
                yield Difference(at=name, difference=largest)
            else:
                yield Difference(at=name, what="not all are numbers")


def _json_differences(old: Any, new: Any, at: str = "") -> Iterator[Difference]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            inner = f"{at}.{key}" if at else key
            if key not in new or key not in old:
                yield Difference(at=inner, what="missing" if key in old else "new")
            else:
                yield from _json_differences(old[key], new[key], inner)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, now) in enumerate(zip(old, new, strict=True)):
            yield from _json_differences(before, now, f"{at}[{index}]")
    elif old != new:
        numbers = all(type(value) in (int, float) for value in (old, new))
        if numbers:
            yield Difference(at=at, difference=abs(float(old) - float(new)))
        else:
            yield Difference(at=at, what="other")
