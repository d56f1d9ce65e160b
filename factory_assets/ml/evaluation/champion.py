"""The champion that a candidate is compared with, scored on the candidate's test rows."""

from __future__ import annotations

from factory_assets.ml.artifacts.onnx_model import OnnxModel, load_served
from factory_assets.ml.artifacts.trained_model import MODEL_TAG, TrainedModel, load_trained
from factory_assets.ml.evaluation.gates import NotComparable
from factory_assets.ml.evaluation.test_set import TestSet
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home


def score_champion(
    judgement: TestSet, version: int | None, home: Home
) -> dict[str, float] | NotComparable | None:
    """The champion's metrics on the judged rows, or why there are none; None without a champion."""
    from factory_resources.tracking.registry import Registry

    if version is None:
        return None
    registry, candidate = Registry(home), judgement.candidate
    try:
        stored = registry.version(candidate.model, version)
        learned = registry.client.get_run(stored.run_id).data.params
        if learned.get("target") != candidate.target:
            return NotComparable(
                f"v{version} predicts {learned.get('target')}, not {candidate.target}"
            )
        # The code of a user's own network may have changed since; its export has not. Otherwise
        # both sides are scored alike: the same model again is no worse, to the last digit.
        if "model.python" in learned:
            served = load_served(registry, stored)
            return _score(judgement, served, served.classes, served.threshold)
        # Only the version and the digest of what it stands for decide what is loaded.
        change = {"version": version, "digest": stored.tags.get(MODEL_TAG, "")}
        trained = load_trained(candidate.model_copy(update=change), home, judgement.pipeline.folder)
        about = trained.description
        return _score(judgement, trained, about.target.classes, about.threshold)
    except FactoryError as error:
        return NotComparable(f"v{version}: {error}")


def _score(
    judgement: TestSet,
    model: TrainedModel | OnnxModel,
    classes: tuple[str, ...],
    threshold: float | None,
) -> dict[str, float] | NotComparable:
    if classes != judgement.candidate.classes:
        return NotComparable(f"it tells {', '.join(classes) or 'numbers'} apart")
    return judgement.score(judgement.outputs(model), threshold).metrics()
