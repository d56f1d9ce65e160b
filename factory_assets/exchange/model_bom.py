"""The ML-BOM of a version: the model with its card, its files, its data and its libraries.

The software of its training belongs in `software_bom`, what people signed in `considerations`.
"""

from collections.abc import Iterator, Sequence

from factory_assets.audit.listed_files import listed_files
from factory_assets.exchange.considerations import considerations
from factory_assets.exchange.cyclonedx import (
    Bom,
    BomPart,
    distribution_reference,
    file_component,
    properties,
    sha256_of,
)
from factory_assets.exchange.described_version import DescribedVersion
from factory_assets.exchange.software_bom import distribution_component
from factory_assets.execution.provenance import Provenance
from factory_assets.ml.artifacts.onnx_model import FILE
from factory_assets.ml.artifacts.trained_model import MANIFEST
from factory_assets.results.data import IngestResult, SplitResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate, Champion
from factory_resources.tables.snapshot import Snapshot


def model_bom(described: DescribedVersion, software: Bom) -> Bom:
    """Describe a version and what it was made from.

    Args:
        software: the SBOM of the same version, to which it refers.

    Raises:
        DeclarationError: `governance.yaml` is wrong.
        ModelError: the list of the model's files is missing.
    """
    candidate = described.records.candidate
    assert candidate
    data = [*_data(described)]
    libraries = [*described.environment.libraries.items()]
    references = [distribution_reference(*one) for one in libraries]
    model = f"model/{described.name}"
    component = {
        "type": "machine-learning-model",
        "bom-ref": model,
        "name": candidate.model,
        "version": str(candidate.version),
        "description": described.provenance.declaration.purpose,
        "hashes": sha256_of(candidate.digest),
        "externalReferences": [{"type": "bom", "url": software.link}],
        "components": [*_files(described)],
        "modelCard": _card(described, candidate, [one["bom-ref"] for one in data]),
    }
    about = {
        "type": "application",
        "bom-ref": described.version.model,
        "name": described.version.model,
    }
    return Bom(
        timestamp=described.trained.finished,
        about=about,
        components=[component, *data, *(distribution_component(*one) for one in libraries)],
        dependencies={
            about["bom-ref"]: [model],
            model: [*(one["bom-ref"] for one in data), *references],
        },
    )


def _files(described: DescribedVersion) -> Iterator[BomPart]:
    """Yield the files of the model and its export, by the digests that the ledger binds."""
    listed = listed_files(described.version.files / MANIFEST, described.name)
    yield from (file_component(*one) for one in sorted(listed.items()))
    if exported := described.records.result("deploy", Champion):
        yield file_component(FILE, exported.onnx_sha256)


def _data(described: DescribedVersion) -> Iterator[BomPart]:
    """Yield the sources, and the snapshots that the model was trained and tested on."""
    sensitive = sorted(_sensitive(described.provenance))
    ingested = described.records.result("ingest", IngestResult)
    for number, source in enumerate(ingested.sources if ingested else (), 1):
        yield {
            "type": "data",
            "bom-ref": f"source/{number}",
            "name": source.name,
            "hashes": sha256_of(source.sha256),
            "data": [_dataset(source.name, sensitive)],
            "properties": properties({"rows": source.rows, "join": source.join or None}),
        }
    for role, snapshot in _snapshots(described):
        yield {
            "type": "data",
            "bom-ref": f"snapshot/{role}",
            "name": snapshot.table,
            "version": snapshot.data_version,
            "components": [file_component(one.name, one.sha256) for one in snapshot.files],
            "data": [_dataset(role, sensitive)],
            "properties": properties({"rows": snapshot.rows}),
        }


def _dataset(name: str, sensitive: Sequence[str]) -> BomPart:
    found: BomPart = {"type": "dataset", "name": name}
    return {**found, "sensitiveData": [*sensitive]} if sensitive else found


def _sensitive(provenance: Provenance) -> Iterator[str]:
    for column in provenance.declaration.ingest.contract.columns:
        if column.sensitive:
            yield f"{column.name}: {column.sensitive}"


def _snapshots(described: DescribedVersion) -> Iterator[tuple[str, Snapshot]]:
    rows = described.provenance.rows
    yield from (("train", rows.train), ("validation", rows.validation))
    if parts := described.records.result("split", SplitResult):
        yield "test", parts.test


def _card(described: DescribedVersion, candidate: Candidate, datasets: Sequence[str]) -> BomPart:
    outputs = [f"probability of {name}" for name in candidate.classes] or [candidate.target]
    inputs = {
        **dict.fromkeys(candidate.numeric, "number"),
        **dict.fromkeys(candidate.times, "time"),
        **dict.fromkeys(candidate.categorical, "category"),
    }
    evaluated = described.records.evaluation
    considered, statements = considerations(described)
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": candidate.task,
            "architectureFamily": candidate.kind,
            "datasets": [{"ref": one} for one in datasets],
            "inputs": [{"format": f"{name}: {kind}"} for name, kind in inputs.items()],
            "outputs": [{"format": one} for one in outputs],
        },
        **({"quantitativeAnalysis": _analysis(evaluated)} if evaluated else {}),
        "considerations": considered,
        "properties": [*_properties(candidate, evaluated), *statements],
    }


def _properties(candidate: Candidate, evaluated: EvaluationResult | None) -> list[BomPart]:
    return properties(
        {
            "target": candidate.target,
            "parameters": candidate.parameters,
            "threshold": candidate.threshold,
            "training_rows": candidate.rows,
            "refit": candidate.refit.text if candidate.refit else None,
            "gates_passed": evaluated.passed if evaluated else None,
        }
    )


def _analysis(evaluated: EvaluationResult) -> BomPart:
    """Return the metrics on the test rows with their 95 % intervals, and those of each slice."""
    whole = [
        {"type": name, "value": repr(value), **_interval(evaluated.intervals.get(name))}
        for name, value in evaluated.metrics.items()
    ]
    slices = [
        {"type": name, "value": repr(value), "slice": f"{one.column} = {one.value}"}
        for one in evaluated.slices
        for name, value in one.metrics.items()
    ]
    return {"performanceMetrics": [*whole, *slices]}


def _interval(ends: tuple[float, float] | None) -> BomPart:
    if ends is None:
        return {}
    low, high = map(repr, ends)
    return {"confidenceInterval": {"lowerBound": low, "upperBound": high}}
