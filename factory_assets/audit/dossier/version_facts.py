"""Facts about a version among others: chain, difference, people's decisions, interface."""

import json
from collections.abc import Iterable, Iterator

from factory_assets.audit.dossier.cited import (
    Cell,
    CitedDocument,
    CitedValue,
    FactTable,
    Step,
    cell_value,
    fact_table,
    property_rows,
    setting_rows,
)
from factory_assets.audit.dossier.cited_home import VersionDocuments, version_documents
from factory_assets.audit.dossier.damage import DamagedFile
from factory_assets.data.transforms.narrowing import source_columns
from factory_assets.results.stages import STAGES
from factory_assets.spec import Column, PipelineSpec
from factory_assets.spec.base import STORED
from factory_resources.ledger.entries import (
    CandidateDecided,
    ChampionMade,
    ModelTrained,
    ServingChanged,
    VerdictGiven,
)
from factory_resources.ledger.rollout_entries import RolloutEnded
from factory_resources.tracking.registry import Registry


def version_facts(documents: VersionDocuments) -> Iterator[FactTable]:
    """Yield what is recorded about a version as a whole, and its relation to others."""
    yield from _version_chain(documents)
    yield from _version_difference(documents)
    yield from _approvals(documents)
    yield from interface_facts(documents)


def _version_chain(documents: VersionDocuments) -> Iterator[FactTable]:
    cited, model = documents.cited, documents.version.model
    if declared := documents.declaration:
        yield from fact_table(
            "version_chain",
            "declared",
            "What was declared",
            ("property", "value"),
            [
                *property_rows(
                    declared,
                    {
                        "purpose": ("purpose",),
                        "risk tier": ("risk", "tier"),
                        "area of use": ("risk", "area"),
                    },
                ),
                *((f"owner {one}", owner) for one, owner in setting_rows(declared, "owners")),
            ],
        )
    rows: list[tuple[Cell, ...]] = []
    for version in Registry(cited.home).versions().get(model, ()):
        if version > documents.version.version:
            break
        trained = cited.entries(ModelTrained, pipeline=model, version=version)
        verdicts = cited.entries(VerdictGiven, pipeline=model, version=version)
        if trained:
            entry = trained[-1][0]
            passed: Cell = verdicts[-1][0].at("passed") if verdicts else "not evaluated"
            rows.append((entry.at("version"), entry.at("time"), passed, entry.at("digest")))
    yield from fact_table(
        "version_chain",
        "versions",
        "This version and those before it, as the ledger entered them",
        ("version", "entered", "passed its gates", "SHA-256 of its manifest"),
        rows[::-1],
    )
    yield from fact_table(
        "version_chain",
        "champions",
        "Which versions served, and from when",
        ("time", "version", "version that served before"),
        (
            (entry.at("time"), entry.at("version"), entry.get("replaced"))
            for entry, _ in reversed(cited.entries(ChampionMade, pipeline=model))
        ),
    )


def _version_difference(documents: VersionDocuments) -> Iterator[FactTable]:
    """Compare the components of each stage with those of the version before."""
    earlier, cited = _earlier(documents), documents.cited
    if earlier is None:
        return
    before = earlier.version.version
    rows: list[tuple[Cell, ...]] = []
    for stage in STAGES:
        old, new = earlier.of(stage), documents.of(stage)
        if old and new and old.citation != new.citation:
            rows += _components(
                stage, cited.entry(old.citation.entry), cited.entry(new.citation.entry)
            )
    yield from fact_table(
        "version_difference",
        "difference",
        f"What differs from version {before}, by digest",
        ("stage and component", "before", "now"),
        rows,
    )


def _components(
    stage: str, before: CitedDocument, now: CitedDocument
) -> Iterator[tuple[Cell, ...]]:
    names = dict.fromkeys([*before.children("components"), *now.children("components")])
    for name in names:
        old, new = (entry.get("components", name) for entry in (before, now))
        if cell_value(old) != cell_value(new):
            yield f"{stage}: {name}", old, new


def damaged_before(documents: VersionDocuments) -> tuple[DamagedFile, ...]:
    """Return the records of the version before that are missing or were changed."""
    earlier = _earlier(documents)
    return tuple(one for one in earlier.damaged if one.origin in STAGES) if earlier else ()


def _earlier(documents: VersionDocuments) -> VersionDocuments | None:
    """Return the documents of the version with which a version is compared."""
    before, cited = earlier_version(documents), documents.cited
    if before is None:
        return None
    version = Registry(cited.home).version(documents.version.model, before)
    return version_documents(version, cited)


def earlier_version(documents: VersionDocuments) -> int | None:
    """Return the version that a version replaced or would replace; else the one before it."""
    deployed = documents.of("deploy")
    replaced = deployed.at("value", "replaced").value if deployed else None
    if isinstance(replaced, int):
        return replaced
    known = Registry(documents.cited.home).versions().get(documents.version.model, ())
    return max((one for one in known if one < documents.version.version), default=None)


def _approvals(documents: VersionDocuments) -> Iterator[FactTable]:
    cited, version = documents.cited, documents.version
    yield from fact_table(
        "approvals",
        "approvals",
        "Decisions of people about this version; names are in the signed statements",
        ("time", "decision", "signed", "commitment to the person", "statement"),
        (
            tuple(
                entry.get(field) for field in ("time", "decision", "signed", "person", "statement")
            )
            for entry, _ in cited.entries(
                CandidateDecided, pipeline=version.model, version=version.version
            )
        ),
    )
    served: list[tuple[CitedDocument, ServingChanged | RolloutEnded]] = [
        *cited.entries(ServingChanged, pipeline=version.model),
        *cited.entries(RolloutEnded, pipeline=version.model),
    ]
    yield from fact_table(
        "approvals",
        "interventions",
        "Stops, resumptions and ends of roll-outs",
        ("time", "act", "commitment to the person"),
        (
            (
                entry.at("time"),
                entry.at("action" if one.kind == "serving" else "outcome"),
                entry.get("person"),
            )
            for entry, one in served
            if one.version == version.version
        ),
    )
    yield from fact_table(
        "approvals",
        "rollbacks",
        "Roll-backs by people, to this version or from it",
        ("time", "version", "version that served before", "commitment to the person"),
        (
            (entry.at("time"), entry.at("version"), entry.get("replaced"), entry.get("person"))
            for entry, one in cited.entries(ChampionMade, pipeline=version.model)
            if one.rollback and version.version in (one.version, one.replaced)
        ),
    )


def interface_facts(documents: VersionDocuments) -> Iterator[FactTable]:
    """Yield which columns a request has, and what is recorded about the exported graph."""
    trained, ingested = documents.of("train"), documents.of("ingest")
    deployed = documents.of("deploy")
    if trained and ingested:
        place: tuple[Step, ...] = ("value", "snapshot", "columns")
        yield from fact_table(
            "interface",
            "request",
            "Columns of a request, with their types in the ingested table",
            ("column", "type"),
            (
                (column.source_name, ingested.at(*place, column.name))
                for column in _request_columns(trained, documents.declaration)
                if ingested.has(*place, column.name)
            ),
        )
    if deployed:
        yield from fact_table(
            "interface",
            "export",
            "The exported graph (ONNX)",
            ("property", "value"),
            property_rows(
                deployed,
                {
                    "SHA-256": ("value", "onnx_sha256"),
                    "largest difference to the evaluated outputs": ("value", "max_difference"),
                    "rows compared": ("value", "compared_rows"),
                },
            ),
        )


def _request_columns(trained: CitedDocument, declared: CitedDocument | None) -> Iterable[Column]:
    """Return the columns that the inputs are made from; without a declaration, the inputs."""
    read = [
        str(trained.at("value", role, i).value)
        for role in ("numeric", "times", "categorical")
        for i in trained.children("value", role)
    ]
    if declared is None:
        return [Column(name=name) for name in read]
    spec = PipelineSpec.model_validate_json(json.dumps(declared.content), context=STORED)
    # A series also needs its unit and its order, and a network for images the image.
    beside = (declared.get("train", "model", key) for key in ("by", "order", "image"))
    names = [*read, *(cell.value for cell in beside if isinstance(cell, CitedValue))]
    return source_columns(spec.ingest, spec.clean, [*map(str, names)]).values()
