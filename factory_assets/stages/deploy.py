"""Deploy: export the candidate, verify that the export computes the same, make it the champion.

The alias moves last: a failure or a kill before that leaves the old champion in place. The export
itself belongs in `ml.artifacts`.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.ml.artifacts.onnx_export import export
from factory_assets.ml.artifacts.onnx_model import DIGEST_TAG, FILE, FOLDER, OnnxModel
from factory_assets.ml.artifacts.table_graph import (
    number_of,
    numeric_categories,
    read_as_numbers,
)
from factory_assets.ml.artifacts.trained_model import TrainedModel, load_trained
from factory_assets.ml.artifacts.tree_votes import with_votes_of_both
from factory_assets.ml.artifacts.typical_row import typical_row
from factory_assets.ml.evaluation.recorded import read_judged_rows, recorded_outputs
from factory_assets.ml.features.columns import read_numbers
from factory_assets.ml.features.features import Features
from factory_assets.ml.models.linear import WIDEST
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate, Champion
from factory_assets.spec import Pipeline
from factory_resources.errors import RefusedError
from factory_resources.home.home import Home

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from factory_resources.tracking.onnx_flavour import OnnxFlavour
    from factory_resources.tracking.registry import Registry

REPLACED_TAG = "factory.replaced"


def deploy(
    pipeline: Pipeline,
    parts: SplitResult,
    candidate: Candidate,
    verdict: EvaluationResult,
    home: Home,
) -> Champion:
    """Export the candidate for serving; it serves as soon as the ledger says so.

    Raises:
        RefusedError: the evaluation is of another candidate, a gate failed, or the exported model
            computes something else than what was evaluated.
        ModelError: the candidate's files were changed, or cannot be exported.
    """
    from factory_resources.tracking.onnx_flavour import write_flavour
    from factory_resources.tracking.registry import Registry

    _require_passed(pipeline, candidate, verdict)
    trained = load_trained(candidate, home, pipeline.folder)
    graph = export(trained)
    served = OnnxModel.of(graph)
    rows, judged = read_judged_rows(parts.test, verdict.predictions, served.columns, home)
    recorded, sd = recorded_outputs(verdict, home), trained.target.sd
    sure = _is_in_reach(trained.features, rows)[judged]
    if sure.any():
        judged, recorded = judged[sure], recorded[sure]
    difference = _difference(served.outputs(rows, judged), recorded, sd)
    if difference > pipeline.spec.deploy.max_difference and (other := with_votes_of_both(graph)):
        # Not at once: a version that was deployed keeps the graph that it has.
        graph, served = other, OnnxModel.of(other)
        difference = _difference(served.outputs(rows, judged), recorded, sd)
    _require_equal(pipeline, difference)
    digest = sha256(graph).hexdigest()
    registry = Registry(home)
    version = registry.version(pipeline.name, candidate.version)
    before = version.tags
    replaced = registry.champion(pipeline.name)
    if replaced == candidate.version:
        # It is the champion already: it still replaces what it replaced then.
        replaced = int(before[REPLACED_TAG]) if REPLACED_TAG in before else None
    _require_same_graph(pipeline, candidate, before.get(DIGEST_TAG), digest)
    _store_graph(registry, candidate, graph, digest, home)
    write_flavour(registry, version, _flavour(pipeline, trained, graph, rows.schema))
    facts = {DIGEST_TAG: digest, "factory.max_difference": repr(difference)}
    if replaced is not None:
        facts[REPLACED_TAG] = str(replaced)
    registry.tag_version(pipeline.name, candidate.version, facts)
    return Champion(
        model=pipeline.name,
        version=candidate.version,
        run_id=candidate.run_id,
        replaced=replaced,
        onnx_sha256=digest,
        max_difference=difference,
        compared_rows=len(judged),
    )


def _require_passed(pipeline: Pipeline, candidate: Candidate, verdict: EvaluationResult) -> None:
    judged = verdict.candidate
    same = (judged.model, judged.version, judged.digest) == (
        candidate.model,
        candidate.version,
        candidate.digest,
    )
    if not same:
        raise RefusedError(
            f"the verdict is of version {judged.version} of {judged.model!r}, "
            f"not of version {candidate.version} of {candidate.model!r}",
            where=pipeline.name,
            remedy="evaluate this candidate first",
        )
    if not verdict.passed:
        failed = "; ".join(gate.explanation for gate in verdict.gates if not gate.passed)
        raise RefusedError(
            f"version {candidate.version} did not pass its gates: {failed}",
            where=pipeline.name,
            remedy="the champion stays; improve the model or the data, or change evaluate.gates",
        )


def _require_same_graph(
    pipeline: Pipeline, candidate: Candidate, deployed: str | None, digest: str
) -> None:
    """Refuse to deploy a version again with another graph: a version is immutable."""
    if deployed not in {None, digest}:
        raise RefusedError(
            f"version {candidate.version} was deployed before with another exported graph",
            where=pipeline.name,
            remedy=f"train a new version: factory run {pipeline.name} --no-reuse",
        )


def _store_graph(
    registry: Registry, candidate: Candidate, graph: bytes, digest: str, home: Home
) -> None:
    path = registry.run_files(candidate.model, candidate.run_id) / FOLDER / FILE
    if path.is_file() and path.read_bytes() == graph:
        # Never overwrite a file that may be in use.
        return
    with home.scratch() as files:
        (files / FILE).write_bytes(graph)
        manifest = {"candidate_sha256": candidate.digest, FILE: digest}
        (files / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        registry.add_files(candidate.run_id, files, FOLDER)


def _flavour(
    pipeline: Pipeline, trained: TrainedModel, graph: bytes, rows: pa.Schema
) -> OnnxFlavour:
    """Return what MLflow's own tools read.

    Args:
        rows: the columns of the rows from which the model was made.
    """
    from factory_resources.tracking.onnx_flavour import OnnxFlavour

    features, description = trained.features, trained.description
    words = numeric_categories(rows, {c.name: c.words for c in features.categorical})
    example = typical_row(features, sensitive_columns(pipeline))
    example |= {name: number_of(str(example[name]) or "0") for name in words}
    facts = {"classes": list(trained.target.classes), "threshold": description.threshold}
    if features.times:
        facts["seconds since 1970"] = list(features.time_columns)
    return OnnxFlavour(
        graph=graph,
        table_graph=read_as_numbers(graph, words) if words else None,
        example=None if features.texts or features.picture or features.series else example,
        facts=facts,
    )


def _is_in_reach(features: Features, rows: pa.Table) -> NDArray[np.bool_]:
    """Return for each row whether its numbers are near enough for both models to compute the same.

    Beyond that, a linear model without limits cuts them where it is evaluated, and overflows and
    refuses the row where it is served. No such row is learned from, so that it can only come with
    the test rows.
    """
    import numpy as np

    near = np.ones(rows.num_rows, dtype=bool)
    for number in features.numeric:
        values = read_numbers(rows, number.name).astype(np.float64)
        near &= ~(np.abs(values - number.mean) > WIDEST * number.sd)
    return near


def _difference(exported: NDArray[Any], judged: NDArray[Any], sd: float) -> float:
    """Return the largest difference, in standard deviations of the target; NaN is infinite."""
    import numpy as np

    difference = np.abs(exported - judged) / sd
    return float(np.where(np.isnan(difference), np.inf, difference).max(initial=0.0))


def _require_equal(pipeline: Pipeline, difference: float) -> None:
    allowed = pipeline.spec.deploy.max_difference
    if difference > allowed:
        raise RefusedError(
            f"the exported model differs from the evaluated one by {difference:.3g}, "
            f"more than {allowed:.3g}",
            where=pipeline.name,
            remedy="the champion stays; deploy.max_difference sets the limit",
        )
