"""The champion that a candidate is compared with, scored on the candidate's test rows."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from factory_assets.stages.artifact import TrainedModel, load_trained
from factory_assets.stages.gates import Unscored
from factory_assets.stages.judgement import Judgement
from factory_assets.stages.metrics import Scored
from factory_assets.stages.served import DIGEST_TAG, FILE, FOLDER, ServedModel
from factory_resources.errors import FactoryError, ModelError
from factory_resources.home import Home

if TYPE_CHECKING:
    from factory_resources.registry import Registry, Version

MODEL_TAG = "factory.model_sha256"
"""The digest of a version's files, as `train` tags it."""


def score_rival(
    judgement: Judgement, version: int | None, home: Home
) -> dict[str, float] | Unscored | None:
    """The champion's metrics on the judged rows, or why there are none; None without a champion."""
    from factory_resources.registry import Registry

    if version is None:
        return None
    registry, candidate = Registry(home), judgement.candidate
    try:
        stored = registry.version(candidate.model, version)
        learned = registry.client.get_run(stored.run_id).data.params
        if learned.get("target") != candidate.target:
            return Unscored(f"v{version} predicts {learned.get('target')}, not {candidate.target}")
        # The code of a user's own network may have changed since; its export has not. Where ours
        # decides, both sides are scored alike: the same model again is no worse, to the last digit.
        if "model.python" in learned:
            return _served(judgement, registry, stored)
        return _trained(judgement, stored, home)
    except FactoryError as error:
        return Unscored(f"v{version}: {error}")


def _trained(judgement: Judgement, stored: Version, home: Home) -> dict[str, float] | Unscored:
    # Only the version and the digest of what it stands for decide what is loaded.
    rival = judgement.candidate.model_copy(
        update={"version": stored.version, "digest": stored.tags.get(MODEL_TAG, "")}
    )
    model: TrainedModel = load_trained(rival, home, judgement.pipeline.folder)
    if model.target.classes != judgement.candidate.classes:
        return _other_classes(stored, model.target.classes)
    return judgement.score_model(model).metrics()


def _served(
    judgement: Judgement, registry: Registry, stored: Version
) -> dict[str, float] | Unscored:
    path = registry.run_files(stored.model, stored.run_id) / FOLDER / FILE
    graph = path.read_bytes() if path.is_file() else b""
    if sha256(graph).hexdigest() != stored.tags.get(DIGEST_TAG):
        raise ModelError(f"{FILE} is missing or changed", remedy="deploy a version again")
    model = ServedModel.of(graph)
    if model.classes != judgement.candidate.classes:
        return _other_classes(stored, model.classes)
    scored: Scored = judgement.score(model.outputs(judgement.rows), model.threshold)
    return scored.metrics()


def _other_classes(stored: Version, classes: tuple[str, ...]) -> Unscored:
    return Unscored(f"v{stored.version} tells {', '.join(classes) or 'numbers'} apart")
