"""A user's estimator in a file without pickle: skops, and a list of trusted types."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from factory_assets.ml.models.trees.sklearn_base import FILE, canonical, not_trusted
from factory_assets.spec.models import OwnModule
from factory_resources.errors import ModelError
from factory_resources.user_code import load_object, module_beside

TRUSTED = frozenset(
    {
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
    }
)
"""Types beyond skops' own list that hold numbers and run nothing when they are read."""


def dumped(estimator: Any, spec: OwnModule, folder: Path) -> bytes:
    """The same bytes for the same estimator, wherever the declaration's folder is.

    Raises:
        ModelError: when it holds what would not be read back.
    """
    import skops.io

    try:
        content = skops.io.dumps(estimator)
    except Exception as error:
        raise _not_kept(spec, f"{type(error).__name__}: {error}") from error
    if wrong := _untrusted(content, spec, folder):
        raise _not_kept(spec, f"it holds {wrong[0]}")
    return canonical(_with_modules(content, _plain_names(spec, folder)))


def loaded(content: bytes, spec: OwnModule, folder: Path) -> Any:
    """Read back what `dumped` wrote.

    Raises:
        DeclarationError: when the user's module is gone.
        ModelError: when the content is anything else.
    """
    import skops.io

    # Only a module that is imported already is found under its own name.
    load_object(spec.python, folder)
    back = {plain: unique for unique, plain in _plain_names(spec, folder).items()}
    try:
        content = _with_modules(content, back)
        if wrong := _untrusted(content, spec, folder):
            raise not_trusted(f"{FILE} holds {wrong[0]}, which is not trusted")
        return skops.io.loads(content, trusted=skops.io.get_untrusted_types(data=content))
    except (BadZipFile, KeyError, ValueError, TypeError, AttributeError, ImportError) as error:
        raise not_trusted(f"{FILE} is no {spec.python}: {error}") from error


def numbers_in(content: bytes) -> int:
    """How many numbers its arrays hold."""
    import numpy as np

    with ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        return sum(np.load(io.BytesIO(archive.read(name))).size for name in names)


def _untrusted(content: bytes, spec: OwnModule, folder: Path) -> list[str]:
    """Types that are neither listed nor of the user's own module, whose code runs in any case."""
    import skops.io

    own = {spec.python.partition(":")[0], *_plain_names(spec, folder)}
    return [
        kind
        for kind in skops.io.get_untrusted_types(data=content)
        if kind not in TRUSTED and kind.rpartition(".")[0] not in own
    ]


def _plain_names(spec: OwnModule, folder: Path) -> dict[str, str]:
    """The name under which a module beside the declaration is imported, to its plain one."""
    plain = spec.python.partition(":")[0]
    beside = module_beside(plain, folder)
    return {beside.__name__: plain} if beside else {}


def _with_modules(content: bytes, names: dict[str, str]) -> bytes:
    """The same archive with modules called otherwise."""
    if not names:
        return content
    buffer = io.BytesIO()
    with ZipFile(io.BytesIO(content)) as archive, ZipFile(buffer, "w") as changed:
        for name in archive.namelist():
            held = archive.read(name)
            if name == "schema.json":
                schema = json.loads(held)
                _rename(schema, names)
                held = json.dumps(schema).encode()
            changed.writestr(ZipInfo(name), held)
    return buffer.getvalue()


def _rename(node: Any, names: dict[str, str]) -> None:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and node.get("__module__") in names:
        node["__module__"] = names[node["__module__"]]
    for child in children:
        _rename(child, names)


def _not_kept(spec: OwnModule, why: str) -> ModelError:
    return ModelError(
        f"{spec.python} cannot be kept without pickle: {why}",
        where="train.model.python",
        remedy="choose another estimator",
    )
