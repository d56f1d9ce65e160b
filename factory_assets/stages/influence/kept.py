"""The networks of further seeds, kept with the candidate in MLflow under a digest manifest.

With them, the candidate and its training rows any list of influences is made without training.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from shutil import move

from factory_assets.results.evaluation import Influence
from factory_assets.results.model import Candidate
from factory_assets.stages.artifact import MANIFEST, copy_checked, manifest_of
from factory_assets.stages.influence.again import Again
from factory_assets.stages.models import Model, model_class
from factory_resources.home.home import Home

FOLDER = "influence"


def keep_seeds(models: Sequence[Model], candidate: Candidate, home: Home) -> str | None:
    """Store the models with the candidate's run; the manifest's SHA-256, None without models."""
    from factory_resources.tracking.registry import Registry

    if not models:
        return None
    with home.scratch() as files:
        for number, model in enumerate(models):
            with home.scratch() as apart:
                model.save(apart)
                for path in apart.iterdir():
                    move(path, files / f"{number}-{path.name}")
        manifest = manifest_of(files)
        (files / MANIFEST).write_bytes(manifest)
        digest = sha256(manifest).hexdigest()
        Registry(home).add_files(candidate.run_id, files, f"{FOLDER}/{digest[:12]}")
    return digest


def load_seeds(learner: Again, candidate: Candidate, influence: Influence) -> list[Model]:
    """What was kept, each file proven to be what was written.

    Raises:
        ModelError: a file is missing or changed.
    """
    from factory_resources.tracking.registry import Registry

    if influence.digest is None:
        return []
    kept = Registry(learner.home).run_files(candidate.model, candidate.run_id) / FOLDER
    where = f"{candidate.model} version {candidate.version}, influence"
    with learner.home.scratch() as files:
        copy_checked(kept / influence.digest[:12], files, influence.digest, where)
        numbers = sorted({int(path.name.partition("-")[0]) for path in files.iterdir()})
        return [_load(learner, files, number) for number in numbers]


def _load(learner: Again, files: Path, number: int) -> Model:
    spec, shape = learner.single, learner.trained.description.shape
    with learner.home.scratch() as apart:
        for path in files.glob(f"{number}-*"):
            move(path, apart / path.name.partition("-")[2])
        cls = model_class(spec, learner.pipeline.folder)
        return cls.load(spec, shape, apart, learner.pipeline.folder)
