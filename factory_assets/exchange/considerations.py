"""What a model card says beside figures: statements that people signed, and energy."""

from collections.abc import Iterator

from factory_assets.audit.requirements.statement_state import governance_state
from factory_assets.declarations.governance import load_governance
from factory_assets.exchange.cyclonedx import BomPart, properties
from factory_assets.exchange.described_version import DescribedVersion

_FIELDS = {
    "annex-iv.1a": "useCases",
    "annex-iv.2b": "performanceTradeoffs",
    "annex-iv.3": "technicalLimitations",
}
"""Requirement to the field of CycloneDX that asks for its answer."""

_ACTIVITIES = {
    "ingest": "data-preparation",
    "clean": "data-preparation",
    "split": "data-preparation",
    "train": "training",
    "evaluate": "validation",
    "deploy": "deployment",
}


def considerations(described: DescribedVersion) -> tuple[BomPart, list[BomPart]]:
    """Return what is signed for this version as it is now, nothing else.

    Returns:
        `considerations`, and as properties the statements for which it has no field.

    Raises:
        DeclarationError: `governance.yaml` is wrong.
    """
    records = described.records
    states = governance_state(records.pipeline, records.home, records.version)
    signed = {one.requirement: one.statement.text for one in states if one.state == "signed"}
    found: BomPart = {
        field: [text]
        for requirement, text in signed.items()
        if (field := _FIELDS.get(requirement.id))
    }
    governance = load_governance(records.pipeline.folder)
    if governance and any("risks" in requirement.declared for requirement in signed):
        found["ethicalConsiderations"] = [
            {"name": risk.what, "mitigationStrategy": risk.measure} for risk in governance.risks
        ]
    found["environmentalConsiderations"] = {"energyConsumptions": [*_energy(described)]}
    others = {f"signed:{one.id}": text for one, text in signed.items() if one.id not in _FIELDS}
    return found, properties(others)


def _energy(described: DescribedVersion) -> Iterator[BomPart]:
    """Yield the energy of each record; who provided it is not known."""
    for stage, records in described.records.by_stage.items():
        for record in records:
            grams = record.co2e
            carbon = {"co2CostEquivalent": {"value": (grams or 0.0) / 1e6, "unit": "tCO2eq"}}
            yield {
                "activity": _ACTIVITIES[stage],
                "energyProviders": [],
                "activityEnergyCost": {"value": record.wh / 1000, "unit": "kWh"},
                **({} if grams is None else carbon),
                "properties": properties({"stage": stage, "method": record.method or None}),
            }
