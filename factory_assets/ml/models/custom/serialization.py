"""Store a user's estimator without pickle, with skops and a list of trusted types.

The factory's own estimators are stored in `ml/models/trees/sklearn_base.py`.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from factory_assets.ml.models.base import unusable_file_error
from factory_assets.ml.models.trees.sklearn_base import FILE, canonical
from factory_assets.spec.models import OwnModule
from factory_resources.errors import ModelError
from factory_resources.user_code import load_object, module_beside
from factory_resources.user_imports import plain_names

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
        "sklearn.utils._bunch.Bunch",
    }
)
"""Types beyond skops' own list that run no code when they are read. They contain only numbers, or
what is looked at itself, as the estimators of a vote."""


def dump_estimator(estimator: Any, spec: OwnModule, folder: Path) -> bytes:
    """Return the estimator as bytes that do not depend on where the declaration's folder is.

    Raises:
        ModelError: the estimator contains objects that `load_estimator` would reject.
    """
    from factory_assets.ml.models.trees import skops_io

    try:
        content = skops_io.dumps(estimator)
    except Exception as error:
        raise _not_storable(spec, f"{type(error).__name__}: {error}") from error
    if untrusted := _untrusted(content, spec, folder):
        raise _not_storable(spec, f"it contains {untrusted[0]}")
    return canonical(_with_module_names(content, _plain_names(spec, folder)))


def load_estimator(content: bytes, spec: OwnModule, folder: Path) -> Any:
    """Read back what `dump_estimator` wrote.

    Raises:
        DeclarationError: the user's module cannot be found any more.
        ModelError: the content is not such an estimator, or contains untrusted types.
    """
    from factory_assets.ml.models.trees import skops_io

    # Modules beside the declaration have generated names, which work only after their import.
    load_object(spec.python, folder)
    generated = {plain: unique for unique, plain in _plain_names(spec, folder).items()}
    try:
        content = _with_module_names(content, generated)
        if untrusted := _untrusted(content, spec, folder):
            raise unusable_file_error(f"{FILE} contains {untrusted[0]}, which is not trusted")
        return skops_io.loads(content, trusted=skops_io.get_untrusted_types(data=content))
    except (BadZipFile, KeyError, ValueError, TypeError, AttributeError, ImportError) as error:
        raise unusable_file_error(f"{FILE} is not a stored {spec.python}: {error}") from error


def count_numbers(content: bytes) -> int:
    """Return how many numbers the arrays in the file contain."""
    import numpy as np

    with ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        return sum(np.load(io.BytesIO(archive.read(name))).size for name in names)


def _untrusted(content: bytes, spec: OwnModule, folder: Path) -> list[str]:
    """Return the types that are neither listed nor defined in the user's modules.

    The code of these modules runs in any case.
    """
    from factory_assets.ml.models.trees import skops_io

    names = _plain_names(spec, folder)
    user_modules = {spec.python.partition(":")[0], *names, *names.values()}
    return [
        kind
        for kind in skops_io.get_untrusted_types(data=content)
        if kind not in TRUSTED and kind.rpartition(".")[0] not in user_modules
    ]


def _plain_names(spec: OwnModule, folder: Path) -> dict[str, str]:
    """Map the generated names of the modules beside the declaration to their plain names."""
    beside = module_beside(spec.python.partition(":")[0], folder)
    return plain_names(folder) if beside else {}


def _with_module_names(content: bytes, names: dict[str, str]) -> bytes:
    """Return the archive with modules renamed; `names` maps old name to new name."""
    if not names:
        return content
    buffer = io.BytesIO()
    with ZipFile(io.BytesIO(content)) as archive, ZipFile(buffer, "w") as changed:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "schema.json":
                schema = json.loads(data)
                _rename(schema, names)
                data = json.dumps(schema).encode()
            changed.writestr(ZipInfo(name), data)
    return buffer.getvalue()


def _rename(node: Any, names: dict[str, str]) -> None:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and node.get("__module__") in names:
        node["__module__"] = names[node["__module__"]]
    for child in children:
        _rename(child, names)


def _not_storable(spec: OwnModule, reason: str) -> ModelError:
    return ModelError(
        f"{spec.python} cannot be stored without pickle: {reason}",
        where="train.model.python",
        remedy="choose another estimator",
    )
