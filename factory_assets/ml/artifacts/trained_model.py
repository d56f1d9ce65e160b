"""A trained model and its files, which are written once and verified before they are read.

The files contain no pickle and no code. `model.json` names the kind of the model, and the kind
determines the class that reads the learned numbers. The candidate carries the digest of the
manifest, which lists the digests of all files. The ONNX graph belongs in `onnx_export.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, ValidationError

from factory_assets.ml.artifacts.calibration import Calibration
from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.features.features import Features
from factory_assets.ml.features.target import Target
from factory_assets.ml.models.base import Model, Shape
from factory_assets.ml.models.kinds import model_class
from factory_assets.results.base import StageResult
from factory_assets.results.model import Candidate
from factory_assets.results.uncertainty import RegionBounds
from factory_assets.spec import Clean, Ingest, ModelSpec
from factory_assets.spec.base import STORED, is_unset
from factory_resources.errors import ModelError
from factory_resources.home.home import Home, storage_errors, unreadable

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


MANIFEST = "manifest.json"

DESCRIPTION = "model.json"

MODEL_TAG = "factory.model_sha256"
"""The tag of a model version with the digest of its manifest."""

# MLflow's own descriptions of the model differ in every run, and the factory does not read them.
_NOT_IN_MANIFEST = frozenset({MANIFEST, "MLmodel", "input_example.json"})


class Description(StageResult):
    """Everything about a trained model except its learned numbers."""

    spec: ModelSpec
    ingest: Ingest
    """With `clean`, how the training rows were prepared; new rows are prepared the same way."""
    clean: Clean
    features: Features
    target: Target
    threshold: float | None
    """The calibrated probability from which a row is predicted positive; None unless binary."""
    calibration: Calibration | None = None
    regions: Annotated[RegionBounds | None, Field(exclude_if=is_unset)] = None
    """From which sets or intervals are answered; None if that is not declared."""

    @classmethod
    def stored(cls, content: bytes) -> Self:
        """Read what `save_trained` wrote; raises pydantic's ValidationError."""
        return cls.model_validate_json(content, context=STORED)

    @property
    def shape(self) -> Shape:
        return model_shape(self.features, self.target)


@dataclass(frozen=True)
class TrainedModel:
    """A model with its preprocessing: reads rows of the clean table and returns outputs."""

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
        """Return probabilities [rows, classes], or predictions [rows] in the target's unit.

        Args:
            rows: indices of the rows to score (default: all). A model of series also reads earlier
                rows, so `table` must contain whole series.

        Raises:
            DataError: if an input column is missing or has values of another type.
        """
        arrays = self.features.arrays(table, scaled=self.model.scaled, rows=rows)
        return self.outputs_of(arrays)

    def outputs_of(self, arrays: Arrays) -> NDArray[np.float64]:
        """Return the outputs of rows that are already encoded."""
        outputs = self.model.outputs(arrays)
        if self.target.task == "regression":
            return self.target.unscaled(outputs)
        calibration = self.description.calibration
        return calibration.apply(outputs) if calibration else outputs


def model_shape(features: Features, target: Target) -> Shape:
    """Return the input and output sizes of a model for these features and this target."""
    picture = features.picture
    return Shape(
        task=target.task,
        numbers=features.width,
        cardinalities=features.cardinalities,
        outputs=target.outputs,
        window=features.series.window if features.series else None,
        picture=(picture.height, picture.width, picture.colours) if picture else None,
        scales=features.scales,
    )


def save_trained(trained: TrainedModel, files: Path) -> str:
    """Write the model's files and manifest into an empty folder; return the manifest's SHA-256."""
    trained.model.save(files)
    (files / DESCRIPTION).write_bytes(trained.description.model_dump_json(by_alias=True).encode())
    manifest = build_manifest(files)
    (files / MANIFEST).write_bytes(manifest)
    return sha256(manifest).hexdigest()


def load_trained(candidate: Candidate, home: Home, folder: Path) -> TrainedModel:
    """Load the model of a candidate, after verifying its files.

    Args:
        candidate: the result of `train`; its digest must match the manifest.
        home: the home whose registry stores the model's files.
        folder: the folder of the declaration, where a user's own module is loaded from.

    Raises:
        ModelError: if a file is missing or changed, or is not that of a model.
        StorageError: if a file cannot be read.
    """
    from factory_resources.tracking.registry import Registry

    version = Registry(home).version(candidate.model, candidate.version)
    where = f"{candidate.model} version {candidate.version}"
    with home.scratch() as scratch:
        # Verify and read a private copy: the original could change in between.
        copy_checked(version.files, scratch, candidate.digest, where)
        try:
            return read_trained(scratch, folder)
        except (ValidationError, OSError, KeyError) as error:
            raise ModelError(
                f"the model cannot be read: {error}",
                where=where,
                remedy="train it again: factory run --no-reuse",
            ) from error


def read_trained(files: Path, folder: Path) -> TrainedModel:
    """Read what `save_trained` wrote, files that were verified or that nobody else can change.

    Args:
        folder: the folder of the declaration, where a user's own module is loaded from.

    Raises:
        ValidationError, OSError, KeyError: the files are not those of a model.
    """
    description = Description.stored((files / DESCRIPTION).read_bytes())
    cls = model_class(description.spec, folder)
    model = cls.load(description.spec, description.shape, files, folder)
    return TrainedModel(description, model)


def build_manifest(files: Path) -> bytes:
    """Return JSON of file name to SHA-256, for every file that is part of the model."""
    names = sorted(
        p.name for p in files.iterdir() if p.is_file() and p.name not in _NOT_IN_MANIFEST
    )
    digests = {name: sha256((files / name).read_bytes()).hexdigest() for name in names}
    return json.dumps(digests, indent=1).encode()


def copy_checked(files: Path, into: Path, digest: str, where: str) -> None:
    """Copy the files that the manifest names, each verified by its SHA-256.

    Args:
        files: the folder to copy from.
        into: the folder to copy to.
        digest: the expected SHA-256 of the manifest.
        where: the model version, for error messages.

    Raises:
        ModelError: if a file is missing or changed; the message names the file.
        StorageError: if a file cannot be read, or copied.
    """
    try:
        manifest = (files / MANIFEST).read_bytes()
        if sha256(manifest).hexdigest() != digest:
            raise _changed(MANIFEST, where)
        for name, expected in json.loads(manifest).items():
            content = (files / name).read_bytes()
            if sha256(content).hexdigest() != expected:
                raise _changed(name, where)
            with storage_errors(into / name):
                (into / name).write_bytes(content)
    except FileNotFoundError as error:
        raise ModelError(
            f"file {Path(str(error.filename)).name} is missing",
            where=where,
            remedy="train it again: factory run --no-reuse",
        ) from error
    except OSError as error:
        raise unreadable(Path(error.filename or files), error) from error


def _changed(name: str, where: str) -> ModelError:
    return ModelError(
        f"file {name} is not the one that was trained (its SHA-256 differs)",
        where=where,
        remedy="find out who changed it, then train again: factory run --no-reuse",
    )
