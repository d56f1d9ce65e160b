"""The events of a stage that runs: START, then COMPLETE, FAIL or ABORT.

They are computed from what a run plans and records alone, so that those of a recorded run are the
same whenever they are asked for. Where they are sent belongs in `delivery`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import NAMESPACE_OID, UUID, uuid5

from factory_assets.data.contract.table_checks import checks_of_result
from factory_assets.openlineage import facets
from factory_assets.openlineage.datasets import (
    Dataset,
    StageInputs,
    input_datasets,
    output_datasets,
)
from factory_assets.results.base import KeyComponents, StageResult
from factory_assets.results.data import CleanResult, IngestResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.latest import stage_of, value_of
from factory_assets.results.record_graph import RecordGraph, value_in
from factory_assets.results.stages import UPSTREAM, Stage
from factory_assets.spec import Pipeline
from factory_resources.tracking.record import Record

Event = dict[str, Any]

_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"


@dataclass(frozen=True)
class LineageRun:
    """One run of a stage, as its events describe it."""

    pipeline: Pipeline
    stage: Stage
    run_id: str
    namespace: str
    partition: str | None = None
    components: KeyComponents | None = None
    """The components of the cache key; None if it failed before they were known."""
    inputs: StageInputs | None = None
    """The results that the stage reads; None if it failed before they were known."""
    scheduled: str | None = None
    """When the schedule meant it to start: ISO 8601; None without a schedule."""

    def started(self, at: datetime) -> Event:
        """Return the event START; the sources of an ingest are in the event that ends it."""
        return {**self._event("START", at), "inputs": self._inputs(None), "outputs": []}

    def completed(self, value: StageResult, at: datetime) -> Event:
        """Return the event COMPLETE with all that was read and written."""
        declaration = (self.components or {}).get("declaration")
        read = self._inputs(value)
        # What was counted holds for all sources together, so that none of several has it.
        if read and (len(read) == 1 or not isinstance(value, IngestResult)):
            checked = self._assertions(value, at)
            read[0] |= {"inputFacets": {"dataQualityAssertions": checked}} if checked else {}
        written = output_datasets(value, self.inputs or {}, declaration, self.namespace)
        return {**self._event("COMPLETE", at), "inputs": read, "outputs": written}

    def ended(self, kind: Literal["FAIL", "ABORT"], message: str, at: datetime) -> Event:
        """Return the event of a run without a result, with what a person was told."""
        event = self._event(kind, at)
        event["run"]["facets"]["errorMessage"] = facets.error_message(message)
        return {**event, "inputs": self._inputs(None), "outputs": []}

    @property
    def id(self) -> str:
        """A UUID: the same for the same stage of the same run, also of a recorded one."""
        parts = (self.run_id, self.pipeline.name, self.stage, self.partition or "")
        return str(uuid5(NAMESPACE_OID, "\n".join(parts)))

    def _event(self, kind: str, at: datetime) -> Event:
        name, spec = self.pipeline.name, self.pipeline.spec
        of_run = {"parent": facets.parent_run(_uuid(self.run_id), self.namespace, name)}
        if self.scheduled:
            of_run["nominalTime"] = facets.nominal_time(self.scheduled)
        of_job = {
            "jobType": facets.job_type("STAGE"),
            "documentation": facets.documentation(spec.purpose),
        }
        if spec.owners:
            of_job["ownership"] = facets.ownership(spec.owners)
        if code := (self.components or {}).get("code"):
            of_job["sourceCodeLocation"] = facets.source_code(code)
        return {
            "eventType": kind,
            "eventTime": at.isoformat(timespec="milliseconds"),
            "producer": facets.PRODUCER,
            "schemaURL": _SCHEMA,
            "run": {"runId": self.id, "facets": of_run},
            "job": {
                "namespace": self.namespace,
                "name": f"{name}.{self.stage}",
                "facets": of_job,
            },
        }

    def _inputs(self, value: StageResult | None) -> list[Dataset]:
        if self.inputs is None:
            return []
        return input_datasets(self.stage, self.inputs, value, self.namespace)

    def _assertions(self, value: StageResult, at: datetime) -> facets.Facet | None:
        """Return what the stage checked about what it read first; None if it checks nothing."""
        contract = self.pipeline.spec.ingest.contract
        match value:
            case IngestResult():
                checks = checks_of_result(contract, value, at)
                return facets.assertions(value.quarantined, checks)
            case CleanResult():
                rules = dict.fromkeys(self.pipeline.spec.clean.where, 0)
                return facets.assertions({**rules, **value.quarantined}, ())
            case EvaluationResult():
                return facets.gates(value.gates)
        return None


def recorded_events(
    pipeline: Pipeline, records: Iterable[Record], history: RecordGraph, namespace: str
) -> Iterator[Event]:
    """Yield START and COMPLETE of each record, in the order of the records.

    Args:
        history: the graph in which the records that they read are.
    """
    for record in records:
        run = LineageRun(
            pipeline,
            stage_of(record),
            record.run_id,
            namespace,
            record.partition,
            record.parts,
            _inputs_of(record, history),
        )
        finished = datetime.fromisoformat(record.finished).astimezone(UTC)
        yield run.started(finished - timedelta(seconds=record.seconds))
        yield run.completed(value_in(record), finished)


def _inputs_of(record: Record, history: RecordGraph) -> StageInputs | None:
    """Return the results that a record was computed from; None if one of them is gone."""
    read: dict[Stage, Sequence[Record]] = {}
    for stage in UPSTREAM[stage_of(record)]:
        keys = record.inputs.get(stage, ())
        found = [history.record(record.pipeline, stage, key) for key in keys]
        read[stage] = [one for one in found if one is not None]
        if not found or len(read[stage]) < len(found):
            return None
    return {stage: value_of(records) for stage, records in read.items()}


def _uuid(run_id: str) -> str:
    """Return the id of a Dagster run, which is a UUID; of another, one that is made from it."""
    try:
        return str(UUID(run_id))
    except ValueError:
        return str(uuid5(NAMESPACE_OID, run_id))
