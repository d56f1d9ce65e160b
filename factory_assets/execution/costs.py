"""The cost of a model version: the sum over the stages behind it, each counted once.

Data of another pipeline is counted there. How a cost is measured belongs in
`factory_resources.metering`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from factory_assets.results.base import StageResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate, Champion
from factory_assets.results.record_graph import model_of
from factory_resources.home.home import Home
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records

ENERGY_TAG, CARBON_TAG, METHOD_TAG = "factory.energy_wh", "factory.co2e_g", "factory.energy_method"
"""The tags of a model version with its total cost so far, and how its energy was measured."""


@dataclass(frozen=True)
class CostTotal:
    """The costs of several computations."""

    seconds: float = 0.0
    wh: float = 0.0
    co2e: float | None = 0.0
    """Grams; None if it is unknown for one of them."""
    methods: tuple[str, ...] = ()

    @classmethod
    def of(cls, records: Iterable[Record]) -> CostTotal:
        return cls().plus(*(cls(r.seconds, r.wh, r.co2e, (r.method,)) for r in records))

    def plus(self, *others: CostTotal) -> CostTotal:
        """Return the sum of this and others."""
        every = (self, *others)
        grams = [one.co2e for one in every]
        return CostTotal(
            seconds=sum(one.seconds for one in every),
            wh=sum(one.wh for one in every),
            co2e=None if None in grams else sum(g for g in grams if g is not None),
            methods=tuple(dict.fromkeys(method for one in every for method in one.methods)),
        )


def upstream_records(record: Record, records: Records) -> list[Record]:
    """Return the record and all records of its pipeline that it depends on, each once."""
    found = {(record.stage, record.key): record}
    waiting = [record]
    while waiting:
        for stage, keys in waiting.pop().inputs.items():
            for key in keys:
                before = records.find(record.pipeline, stage, key)
                if before and (stage, key) not in found:
                    found[stage, key] = before
                    waiting.append(before)
    return list(found.values())


def stage_costs(record: Record) -> dict[str, float]:
    """Return the metrics of MLflow about the cost of one computation."""
    stage = record.stage
    own = {f"{stage}_seconds": record.seconds, f"{stage}_energy_wh": record.wh}
    return own if record.co2e is None else {**own, f"{stage}_co2e_g": record.co2e}


def log_costs(value: StageResult, record: Record, home: Home) -> CostTotal | None:
    """Log to MLflow what a computation cost, and the model version that it concerns in total.

    Returns:
        The total; None if the result concerns no model version.
    """
    about = value.candidate if isinstance(value, EvaluationResult) else value
    if not isinstance(about, Candidate | Champion):
        return None
    from factory_resources.tracking.registry import Registry

    upstream = upstream_records(record, Records(home))
    earlier = _about(about.model, about.version, Records(home))
    total = CostTotal.of({(r.stage, r.key): r for r in (*earlier, *upstream)}.values())
    carbon = {"co2e_g": total.co2e} if total.co2e is not None else {}
    Registry(home).log_metrics(
        about.run_id, {**stage_costs(record), "energy_wh": total.wh, **carbon}
    )
    tags = {ENERGY_TAG: total.wh, CARBON_TAG: total.co2e, METHOD_TAG: "; ".join(total.methods)}
    texts = {name: "unknown" if fact is None else str(fact) for name, fact in tags.items()}
    Registry(home).tag_version(about.model, about.version, texts)
    return total


def _about(model: str, version: int, records: Records) -> Iterator[Record]:
    """Yield the records that evaluated or deployed the version before."""
    for stage in ("evaluate", "deploy"):
        for record in records.all(model, stage):
            if model_of(record) == (model, version):
                yield record
