"""Save the state of drift detection in one `.npz` file, without pickle, and load it.

What the state consists of belongs in `state.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_assets.ml.drift.columns import WatchedColumn
from factory_assets.ml.drift.conformal import CountBag, SortedBag
from factory_assets.ml.drift.detector import Detector
from factory_assets.ml.drift.joint import Moments, NormalScores, ProductClassifier
from factory_assets.ml.drift.joint_test import JointTest
from factory_assets.ml.drift.rows import RowSample
from factory_assets.ml.drift.state import DriftState
from factory_resources.errors import StorageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]


FORMAT = 1

_DAMAGE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, ArithmeticError),
    *(AttributeError, NotImplementedError, MemoryError),
)
"""What reading a damaged file raises, beside errors of its compression."""


def save(state: DriftState, path: Path) -> None:
    """Write the state; the file is there as a whole or as it was before.

    Raises:
        StorageError: the file cannot be written.
    """
    import numpy as np

    arrays = {**_pack(state), "head": np.array(json.dumps(_head(state)))}
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        partial.replace(path)
    except OSError as error:
        raise StorageError(
            f"the state of drift detection cannot be written: {error.strerror}",
            where=str(path),
            remedy="make the folder writable, with space on its disk",
        ) from None


def load(path: Path) -> DriftState:
    """Read a saved state.

    Raises:
        StorageError: there is none, or the file is damaged.
    """
    import zipfile
    import zlib

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return _unpack(json.loads(str(arrays["head"])), arrays)
    except (*_DAMAGE, zipfile.BadZipFile, zlib.error) as error:
        reason = error
    raise StorageError(
        f"the state of drift detection cannot be read: {reason}",
        where=str(path),
        remedy="restore the file, or remove it to begin with the reference again",
    )


def _head(state: DriftState) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "columns": [asdict(column) for column in state.columns],
        "categories": state.categories,
        "seed": state.seed,
        "seasonal": state.seasonal,
        "looks": state.looks,
    }


def _pack(state: DriftState) -> Arrays:
    import numpy as np

    arrays: Arrays = {**_pack_fields("detector", state.detector), "widths": state.widths}
    for name in ("reference", "recent"):
        arrays |= _pack_fields(name, getattr(state, name))
    for index, bag in enumerate(state.values):
        arrays |= _pack_bag(f"values.{index}", bag)
    arrays |= _pack_bag("missing", state.missing)
    if state.joint is not None:
        classifier = state.joint.classifier
        arrays["joint.features"], arrays["joint.strata"] = state.joint.features, state.joint.strata
        arrays["joint.recent"] = classifier.recent.products
        arrays["joint.rows"] = np.array([classifier.rows, classifier.recent.rows])
        for field in ("before", "deviations", "weights"):
            arrays[f"joint.{field}"] = getattr(classifier, field)
        arrays["joint.columns"] = np.array([one.column for one in classifier.scores])
        for one in classifier.scores:
            arrays[f"joint.knots.{one.column}"] = one.knots
            arrays[f"joint.shares.{one.column}"] = one.shares
    return arrays


def _pack_bag(name: str, bag: SortedBag | CountBag) -> Arrays:
    import numpy as np

    parts = list(bag.strata.values())
    packed = {f"{name}.strata": np.array([*bag.strata], np.int64)}
    if isinstance(bag, SortedBag):
        sizes = np.array([len(part) for part in parts], np.int64)
        return {**packed, f"{name}.sizes": sizes, f"{name}.sorted": np.concatenate([[], *parts])}
    return {**packed, f"{name}.counts": np.array(parts, np.int64)}


def _pack_fields(name: str, value: RowSample | Detector) -> Arrays:
    return {f"{name}.{field}": array for field, array in vars(value).items()}


def _unpack(head: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> DriftState:
    if head["format"] != FORMAT:
        raise ValueError(f"its format is {head['format']}, not {FORMAT}")
    columns = tuple(WatchedColumn(**column) for column in head["columns"])
    categories = tuple(tuple(names) for names in head["categories"])
    state = DriftState(
        columns=columns,
        categories=categories,
        seed=head["seed"],
        seasonal=head["seasonal"],
        looks=head["looks"],
        reference=RowSample(**_fields(arrays, "reference")),
        recent=RowSample(**_fields(arrays, "recent")),
        values=_unpack_values(columns, categories, arrays),
        missing=_unpack_counts(arrays, "missing", 2, columns=len(columns)),
        widths=arrays["widths"],
        detector=Detector(**_fields(arrays, "detector")),
        joint=_unpack_joint(arrays),
    )
    _require_shapes(state)
    return state


def _fields(arrays: Mapping[str, NDArray[Any]], name: str) -> dict[str, Any]:
    prefix = f"{name}."
    return {
        key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)
    }


def _unpack_values(
    columns: Sequence[WatchedColumn],
    categories: Sequence[Sequence[str]],
    arrays: Mapping[str, NDArray[Any]],
) -> tuple[SortedBag | CountBag, ...]:
    return tuple(
        _unpack_sorted(arrays, f"values.{i}")
        if column.kind == "number"
        else _unpack_counts(arrays, f"values.{i}", len(names) + 1)
        for i, (column, names) in enumerate(zip(columns, categories, strict=True))
    )


def _unpack_sorted(arrays: Mapping[str, NDArray[Any]], name: str) -> SortedBag:
    import numpy as np

    parts = np.split(arrays[f"{name}.sorted"], np.cumsum(arrays[f"{name}.sizes"])[:-1])
    return SortedBag(dict(zip(arrays[f"{name}.strata"].tolist(), parts, strict=False)))


def _unpack_counts(
    arrays: Mapping[str, NDArray[Any]], name: str, codes: int, columns: int = 1
) -> CountBag:
    counts = arrays[f"{name}.counts"].reshape(-1, columns, codes)
    return CountBag(codes, dict(zip(arrays[f"{name}.strata"].tolist(), counts, strict=True)))


def _unpack_joint(arrays: Mapping[str, NDArray[Any]]) -> JointTest | None:
    if "joint.features" not in arrays:
        return None
    rows, recent = arrays["joint.rows"].tolist()
    scores = tuple(
        NormalScores(column, arrays[f"joint.knots.{column}"], arrays[f"joint.shares.{column}"])
        for column in arrays["joint.columns"].tolist()
    )
    classifier = ProductClassifier(
        scores=scores,
        before=arrays["joint.before"],
        deviations=arrays["joint.deviations"],
        rows=int(rows),
        recent=Moments(arrays["joint.recent"], recent),
        weights=arrays["joint.weights"],
    )
    return JointTest(classifier, arrays["joint.features"], arrays["joint.strata"])


def _require_shapes(state: DriftState) -> None:
    """Raise a ValueError if parts of the file are not of the same state."""
    columns = len(state.columns)
    tests = [array.shape[-2] for array in (*vars(state.detector).values(), state.widths)]
    if set(tests) != {state.tests}:
        raise ValueError("its tests are not those of its columns")
    for rows in (state.reference, state.recent):
        if rows.values.shape != (len(rows.strata), columns):
            raise ValueError("its rows are not of its columns")
