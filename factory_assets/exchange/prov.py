"""A trace in W3C PROV: sources, tables and models are entities, stages and decisions activities.

Agents are the code of a stage, by its digest, and people and accounts, by the commitments to their
names that the ledger has. No value of a row is in it. The form is PROV-JSON,
https://www.w3.org/submissions/prov-json/.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from factory_assets.audit.trace.answer.report import AnswerTrace, LedgerEvent
from factory_assets.audit.trace.report import Step, Trace

ProvJson = dict[str, Any]

_PREFIX = "factory"
_NAMESPACE = "urn:sovereign-ai-factory:prov:"


@dataclass(frozen=True)
class ProvFacts:
    """What a document says beside the trace."""

    seconds: Mapping[str, float]
    """Wall time of the stages, by their cache key."""
    accounts: Mapping[str, str]
    """Run to the commitment to the account that started it."""
    decisions: Sequence[LedgerEvent] = ()
    """What people decided about the model version."""


def prov_document(result: Trace | AnswerTrace, facts: ProvFacts) -> ProvJson:
    """Return the trace back of a model version, of a snapshot or of an answer."""
    document = _Document()
    trace = result.lineage if isinstance(result, AnswerTrace) else result
    model = None
    if isinstance(result, AnswerTrace):
        model = f"{result.pipeline}@{result.version}"
    elif trace and trace.model:
        model = trace.model.name
    if trace:
        document.add_lineage(trace, model, facts)
    if model:
        document.add_decisions(model, facts.decisions)
    if isinstance(result, AnswerTrace) and model:
        document.add_answer(result, model)
    return document.content


class _Document:
    """Collects the elements of a document, each once, and how they relate."""

    def __init__(self) -> None:
        self.content: ProvJson = {"prefix": {_PREFIX: _NAMESPACE}}
        self._related = set[tuple[object, ...]]()

    def add_lineage(self, trace: Trace, model: str | None, facts: ProvFacts) -> None:
        """Add the stages of a trace with what they read and wrote."""
        written = {step.name: [*_outputs(step, model)] for step in trace.steps}
        read = defaultdict(list)
        for source in trace.sources:
            if source.snapshot not in written:
                read[source.read_by].append(source)
        for step in trace.steps:
            stage = self._stage(step, facts)
            for name, attributes in written[step.name]:
                entity = self._element("entity", name, attributes)
                self._relation("wasGeneratedBy", entity=entity, activity=stage)
            for before in step.inputs:
                for name, attributes in written.get(before, ()):
                    entity = self._element("entity", name, attributes)
                    self._relation("used", activity=stage, entity=entity)
            for source in read[step.name]:
                attributes = {"name": source.name, "sha256": source.sha256}
                entity = self._element("entity", f"source/{source.sha256}", attributes)
                self._relation("used", activity=stage, entity=entity)

    def add_decisions(self, model: str, decisions: Sequence[LedgerEvent]) -> None:
        """Add who decided about a model version, as activities that used it."""
        for one in decisions:
            times = {"prov:endTime": one.time}
            content = {"decision": one.what, "role": one.role}
            activity = self._element("activity", f"decision/{one.entry}", content, times)
            entity = self._element("entity", f"model/{model}", {})
            self._relation("used", activity=activity, entity=entity)
            if one.person:
                person = self._element("agent", f"person/{one.person}", {}, _type("Person"))
                self._relation("wasAssociatedWith", activity=activity, agent=person)

    def add_answer(self, result: AnswerTrace, model: str) -> None:
        """Add an answer, and that the model gave it."""
        began = datetime.fromisoformat(result.time)
        ended = began + timedelta(milliseconds=result.milliseconds)
        times = {"prov:startTime": began.isoformat(), "prov:endTime": ended.isoformat()}
        activity = self._element("activity", f"answering/{result.id}", {}, times)
        answer = {"protocol": result.protocol, "status": result.status}
        entity = self._element("entity", f"answer/{result.id}", answer)
        self._relation("wasGeneratedBy", entity=entity, activity=activity)
        used = self._element("entity", f"model/{model}", {})
        self._relation("used", activity=activity, entity=used)

    def _stage(self, step: Step, facts: ProvFacts) -> str:
        """Add the activity of a stage with its agents; return its name."""
        ended = datetime.fromisoformat(step.finished)
        times = {"prov:endTime": ended.isoformat()}
        if (seconds := facts.seconds.get(step.key)) is not None:
            times["prov:startTime"] = (ended - timedelta(seconds=seconds)).isoformat()
        content = {"stage": step.stage, "pipeline": step.pipeline, "run": step.run_id}
        name = f"stage/{step.pipeline}/{step.stage}/{step.key}"
        activity = self._element("activity", name, content, times)
        if step.code:
            code = self._element("agent", f"code/{step.code}", {}, _type("SoftwareAgent"))
            self._relation("wasAssociatedWith", activity=activity, agent=code)
        if account := facts.accounts.get(step.run_id):
            agent = self._element("agent", f"account/{account}", {})
            self._relation("wasAssociatedWith", activity=activity, agent=agent)
        return activity

    def _element(
        self,
        kind: str,
        name: str,
        attributes: Mapping[str, object],
        defined: Mapping[str, object] | None = None,
    ) -> str:
        """Add an element unless it is there; return its name.

        Args:
            attributes: those of the factory; one without a value is left out.
            defined: those that PROV defines.
        """
        own = {f"{_PREFIX}:{key}": value for key, value in attributes.items() if value is not None}
        qualified = f"{_PREFIX}:{name}"
        self.content.setdefault(kind, {}).setdefault(qualified, {}).update(
            {**own, **(defined or {})}
        )
        return qualified

    def _relation(self, kind: str, **ends: str) -> None:
        relations = self.content.setdefault(kind, {})
        relation = (kind, *sorted(ends.items()))
        if relation not in self._related:
            self._related.add(relation)
            content = {f"prov:{end}": name for end, name in ends.items()}
            relations[f"_:{kind}{len(relations) + 1}"] = content


def _outputs(step: Step, model: str | None) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the entities that a stage wrote: its tables, the model, or its result."""
    for table in step.tables:
        yield f"table/{table.name}", {"data_version": table.data_version, "rows": table.rows}
    if step.stage == "train" and model and model.partition("@")[0] == step.pipeline:
        yield f"model/{model}", {"data_version": step.data_version}
    elif not step.tables:
        yield f"result/{step.name}", {"data_version": step.data_version}


def _type(name: str) -> dict[str, object]:
    return {"prov:type": {"$": f"prov:{name}", "type": "prov:QUALIFIED_NAME"}}
