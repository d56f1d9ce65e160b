"""Check what MLflow keeps of a model version beside its package: graph, provenance, metrics."""

import math
import sys
from collections.abc import Iterator

from factory_assets.audit.trace.report import State
from factory_assets.audit.trace.verification import Checker
from factory_assets.execution.costs import stage_costs
from factory_assets.execution.provenance import FOLDER as ORIGIN
from factory_assets.execution.provenance import provenance_digest
from factory_assets.ml.artifacts.onnx_model import DIGEST_TAG, FILE, FOLDER
from factory_assets.ml.training.fit_result import training_metrics
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate, Champion
from factory_assets.results.record_graph import RecordGraph, value_in
from factory_assets.stages.evaluate import evaluation_metrics
from factory_resources.tracking.record import Record
from factory_resources.tracking.registry import Registry, Version

Point = tuple[str, int, float | None]
"""Name, step and value of a metric."""


def artifact_states(
    version: Version, history: RecordGraph, registry: Registry, checker: Checker
) -> Iterator[State]:
    """Yield the states of the deployed graph and of the provenance, if there are such."""
    name = f"{version.model}@{version.version}"
    files = registry.run_files(version.model, version.run_id)
    deployed = history.about(version.model, version.version, "deploy")
    if deployed:
        champion = value_in(deployed[-1])
        assert isinstance(champion, Champion)
        if version.tags.get(DIGEST_TAG) != champion.onnx_sha256:
            checker.problems.append(f"{name}: MLflow names another {FILE} than the record")
        path = files / FOLDER / FILE
        yield checker.file(path, champion.onnx_sha256, f"{name}/{FOLDER}/{FILE}")
    if digest := provenance_digest(version, registry.home):
        yield checker.model(files / ORIGIN, digest, f"{name}/{ORIGIN}")


def check_metrics(
    version: Version, trained: Record, history: RecordGraph, registry: Registry, checker: Checker
) -> None:
    """Check that MLflow shows the metrics that the records of a model version contain."""
    later = [
        record
        for stage in ("evaluate", "deploy")
        for record in history.about(version.model, version.version, stage)
    ]
    expected = {point for record in (trained, *later) for point in _points(record)}
    logged = registry.metrics(version.run_id)
    curves = {(one.name, one.step, _stored(one.value)) for one in logged if not one.latest}
    wrong = {name for name, _, _ in expected - curves}
    # Of several evaluations the last one counts, and several may end in the same second.
    last = {name: step for name, step, _ in sorted(expected, key=lambda point: point[1])}
    present = {one.name: _stored(one.value) for one in logged if one.latest}
    wrong |= {
        name
        for name, step in last.items()
        if name not in present or (name, step, present[name]) not in expected
    }
    if wrong:
        checker.problems.append(
            f"{version.model}@{version.version}: MLflow shows other values of "
            f"{', '.join(sorted(wrong))} than the records"
        )


def _points(record: Record) -> Iterator[Point]:
    value = value_in(record)
    steps = [(0, stage_costs(record))]
    if isinstance(value, Candidate):
        steps += training_metrics(value)
    elif isinstance(value, EvaluationResult):
        steps.append((0, evaluation_metrics(value)))
    for step, metrics in steps:
        for name, number in metrics.items():
            yield name, step, _stored(number)


def _stored(number: float) -> float | None:
    """Return the number as MLflow stores it: infinity as the largest number; None if undefined."""
    limit = sys.float_info.max
    return None if math.isnan(number) else min(max(number, -limit), limit)
