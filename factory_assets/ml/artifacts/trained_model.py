"""The files of a trained model: written once, checked against their manifest before being read.

No pickle and no code: which class reads the numbers follows from the kind, and the kind from
`model.json`, whose digest is part of the candidate.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from factory_assets.ml.artifacts.calibration import Calibration
from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.features.features import Features
from factory_assets.ml.features.target import Target
from factory_assets.ml.models.base import Model, Shape
from factory_assets.ml.models.kinds import model_class
from factory_assets.results.base import StageResult
from factory_assets.results.model import Candidate
from factory_assets.spec import Clean, Ingest, ModelSpec
from factory_resources.errors import ModelError
from factory_resources.home.home import Home

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


MANIFEST = "manifest.json"

DESCRIPTION = "model.json"

MODEL_TAG = "factory.model_sha256"
"""The tag of a model version that holds the digest of its files."""

# MLflow's own descriptions of the model, different for every run; nothing of ours reads them.
_APART = frozenset({MANIFEST, "MLmodel", "input_example.json"})


class Description(StageResult):
    """Everything of a trained model but its learned numbers."""

    spec: ModelSpec
    ingest: Ingest
    """With `clean`, how the rows were made that it learned from: new rows are made the same way."""
    clean: Clean
    features: Features
    target: Target
    threshold: float | None
    """Of the calibrated probability."""
    calibration: Calibration | None = None

    @property
    def shape(self) -> Shape:
        return shape_of(self.features, self.target)


@dataclass(frozen=True)
class TrainedModel:
    """A model with its preprocessing: rows of the clean table in, outputs out."""

    description: Description
    model: Model

    @property
    def features(self) -> Features:
        return self.description.features

    @property
    def target(self) -> Target:
        return self.description.target

    def outputs(
        self, table: pa.Table, rows: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Probabilities [rows, classes], or predictions [rows] in the target's unit.

        Args:
            rows: the places of the rows that are asked for, all where left out. A model of series
                reads those before them too, so `table` holds whole series.

        Raises:
            DataError: when an input column is missing or holds another kind of value.
        """
        arrays = self.features.arrays(table, scaled=self.model.scaled, rows=rows)
        return self.outputs_of(arrays)

    def outputs_of(self, arrays: Arrays) -> NDArray[np.float64]:
        """The same of rows that are encoded already."""
        found = self.model.outputs(arrays)
        if self.target.task == "regression":
            return self.target.unscaled(found)
        calibration = self.description.calibration
        return calibration.apply(found) if calibration else found


def shape_of(features: Features, target: Target) -> Shape:
    """What a model over such features reads, and what it returns."""
    picture = features.picture
    return Shape(
        task=target.task,
        numbers=features.width,
        cardinalities=features.cardinalities,
        outputs=target.outputs,
        window=features.series.window if features.series else None,
        picture=(picture.height, picture.width, picture.colours) if picture else None,
    )


def save_trained(trained: TrainedModel, files: Path) -> str:
    """Write the model's files and their manifest into an empty folder; the manifest's SHA-256."""
    trained.model.save(files)
    (files / DESCRIPTION).write_bytes(trained.description.model_dump_json(by_alias=True).encode())
    manifest = manifest_of(files)
    (files / MANIFEST).write_bytes(manifest)
    return sha256(manifest).hexdigest()


def load_trained(candidate: Candidate, home: Home, folder: Path) -> TrainedModel:
    """Read a candidate back.

    Args:
        candidate: what `train` returned; its digest decides.
        home: where its files are.
        folder: of the declaration; a user's own module is found there.

    Raises:
        ModelError: when a file is missing, changed or not what this code writes.
    """
    from factory_resources.tracking.registry import Registry

    version = Registry(home).version(candidate.model, candidate.version)
    where = f"{candidate.model} version {candidate.version}"
    with home.scratch() as scratch:
        # Checked and read from a private copy: the original could change in between.
        copy_checked(version.files, scratch, candidate.digest, where)
        try:
            description = Description.model_validate_json((scratch / DESCRIPTION).read_bytes())
            cls = model_class(description.spec, folder)
            model = cls.load(description.spec, description.shape, scratch, folder)
        except (ValidationError, OSError, KeyError) as error:
            raise ModelError(
                f"the model cannot be read: {error}", where=where, remedy="train it again"
            ) from error
    return TrainedModel(description, model)


def manifest_of(files: Path) -> bytes:
    """JSON of file name to SHA-256, for every file that is part of the model."""
    names = sorted(p.name for p in files.iterdir() if p.is_file() and p.name not in _APART)
    digests = {name: sha256((files / name).read_bytes()).hexdigest() for name in names}
    return json.dumps(digests, indent=1).encode()


def copy_checked(files: Path, into: Path, digest: str, where: str) -> None:
    """Copy the files that the manifest names, each proven to be what was written.

    Raises:
        ModelError: naming the file that is missing or changed.
    """
    try:
        manifest = (files / MANIFEST).read_bytes()
        if sha256(manifest).hexdigest() != digest:
            raise _changed(MANIFEST, where)
        for name, expected in json.loads(manifest).items():
            content = (files / name).read_bytes()
            if sha256(content).hexdigest() != expected:
                raise _changed(name, where)
            (into / name).write_bytes(content)
    except FileNotFoundError as error:
        raise ModelError(
            f"file {Path(str(error.filename)).name} is missing",
            where=where,
            remedy="train it again",
        ) from error


def _changed(name: str, where: str) -> ModelError:
    return ModelError(
        f"file {name} is not the one that was trained (its SHA-256 differs)",
        where=where,
        remedy="find out who changed it, then train again",
    )
