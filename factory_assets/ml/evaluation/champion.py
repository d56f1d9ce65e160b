"""Score the champion on the rows of the candidate that is compared with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_assets.ml.artifacts.onnx_model import OnnxModel, load_served
from factory_assets.ml.artifacts.trained_model import MODEL_TAG, TrainedModel, load_trained
from factory_assets.ml.evaluation.gates import ChampionMetrics, NotComparable
from factory_assets.ml.evaluation.test_set import TestSet
from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.metrics.paired import paired_differences
from factory_assets.results.evaluation import ChampionComparison
from factory_assets.results.uncertainty import RegionBounds
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RARER = "the rarer one of these rows; declare train.positive: {positive}, and it stays the same"

_SHOWN = 20
"""Classes that a message lists."""


def compare_champion(
    test_set: TestSet,
    scored: ScoredRows,
    version: int | None,
    home: Home,
    rows: NDArray[np.int64] | None = None,
) -> ChampionMetrics | NotComparable | None:
    """Return the champion's metrics on the judged rows, or why there are none.

    None if there is no champion.

    Args:
        scored: the candidate, on the judged rows.
        rows: the judged rows on which they are compared; None for all.
    """
    if version is None:
        return None
    champion = _score_champion(test_set, version, home)
    if isinstance(champion, NotComparable):
        return champion
    compared = None
    if rows is not None:
        if not len(rows):
            return NotComparable(f"v{version} has learned from all of them")
        scored, champion = scored.take(rows), champion.take(rows)
        compared = ChampionComparison(
            rows=len(rows),
            judged=len(test_set.places),
            metrics=scored.metrics(),
            champion=champion.metrics(),
        )
    spec = test_set.pipeline.spec
    differences = paired_differences(
        scored,
        champion,
        test_set.guarded,
        resamples=spec.evaluate.bootstrap,
        seed=spec.training.seed,
    )
    metrics = compared.champion if compared else champion.metrics()
    return ChampionMetrics(metrics, differences, compared=compared)


def _score_champion(test_set: TestSet, version: int, home: Home) -> ScoredRows | NotComparable:
    from factory_resources.tracking.registry import Registry

    registry, candidate = Registry(home), test_set.candidate
    try:
        stored = registry.version(candidate.model, version)
        params = registry.client.get_run(stored.run_id).data.params
        if params.get("target") != candidate.target:
            return NotComparable(
                f"v{version} predicts {params.get('target')}, not {candidate.target}"
            )
        # The code of a user's own network may have changed since, so its export is scored. Other
        # models are scored like the candidate: the same model again gives exactly its metrics.
        if "model.python" in params:
            exported = load_served(registry, stored)
            return _score(
                test_set, exported, exported.classes, exported.threshold, exported.regions
            )
        # Only the version and the digest of its files decide what is loaded.
        changes = {"version": version, "digest": stored.tags.get(MODEL_TAG, "")}
        trained = load_trained(candidate.model_copy(update=changes), home, test_set.pipeline.folder)
        description = trained.description
        classes, threshold = description.target.classes, description.threshold
        return _score(test_set, trained, classes, threshold, description.regions)
    except FactoryError as error:
        return NotComparable(f"v{version}: {error}")


def _score(
    test_set: TestSet,
    model: TrainedModel | OnnxModel,
    classes: tuple[str, ...],
    threshold: float | None,
    bounds: RegionBounds | None,
) -> ScoredRows | NotComparable:
    found = test_set.candidate.classes
    if classes != found and {*classes} == {*found}:
        declared = test_set.pipeline.spec.training.positive is not None
        why = "as train.positive says" if declared else _RARER.format(positive=classes[-1])
        return NotComparable(
            f"its positive class is {classes[-1]}, the candidate's {found[-1]}, {why}"
        )
    if classes != found:
        kept = test_set.pipeline.spec.training.task is None and not (classes and found)
        remedy = "; declare train.task, and it stays the same" if kept else ""
        what = f"it predicts {_words(classes)}, the candidate {_words(found)}"
        return NotComparable(f"{what}{remedy}")
    return test_set.score(test_set.outputs(model), threshold, bounds)


def _words(classes: tuple[str, ...]) -> str:
    if not classes:
        return "numbers"
    more = f" and {len(classes) - _SHOWN} more" if len(classes) > _SHOWN else ""
    return f"the classes {', '.join(classes[:_SHOWN])}{more}"
