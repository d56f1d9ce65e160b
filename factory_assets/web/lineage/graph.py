"""The lineage in a trace as a graph: which nodes are drawn, what they say, and what follows what.

Where they are drawn belongs in `layout`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from factory_assets.audit.trace.answer.report import AnswerTrace
from factory_assets.audit.trace.report import RowRoute, Source, StagePassage, State, Step, Trace
from factory_assets.web.lineage.layout import Edge
from factory_resources.durations import minute
from factory_resources.ledger.factory_verify import amount

ROW_WORDS = {
    "snapshot": "kept",
    "quarantine": "in quarantine",
    "learned from": "used for training",
    "judged": "evaluated",
}
"""What is said of rows that are counted under these names; of others, the name."""

_SINGLE = 4
"""Up to this many sources of a step, or partitions of a stage, are drawn one by one."""

_DIGITS = 12


@dataclass(frozen=True)
class LineageNode:
    """One box of the drawing."""

    name: str
    """Unique in the drawing."""
    kind: str
    """The word above the title, such as `clean`."""
    title: str
    detail: str
    full: str
    """The whole name, which the title shortens."""
    is_wrong: bool = False
    """Whether something of it is missing or was changed; the detail says it."""


@dataclass
class LineageGraph:
    """The boxes, and what follows what."""

    nodes: dict[str, LineageNode] = field(default_factory=dict)
    edges: dict[Edge, None] = field(default_factory=dict)

    def add(self, node: LineageNode, before: Iterable[str] = ()) -> None:
        """Add a box unless it is there, behind others that are."""
        self.nodes.setdefault(node.name, node)
        for one in before:
            if one in self.nodes:
                self.edges[one, node.name] = None

    @property
    def description(self) -> str:
        """The drawing in words: a sentence for each box that follows others."""
        follows: dict[str, list[str]] = {}
        for one, two in self.edges:
            follows.setdefault(two, []).append(self._named(one))
        return " ".join(
            f"{self._named(name)} follows {', '.join(before)}." for name, before in follows.items()
        )

    def _named(self, name: str) -> str:
        node = self.nodes[name]
        return f"{node.kind} {node.title}"


def lineage_graph(result: Trace | AnswerTrace) -> LineageGraph:
    """Return the graph of a trace; without lineage it has the answer alone."""
    graph = LineageGraph()
    if isinstance(result, AnswerTrace):
        last = _add_backward(graph, result.lineage) if result.lineage else []
        _add_answer(graph, result, last)
    elif result.kind == "source":
        _add_forward(graph, result)
    else:
        _add_backward(graph, result)
    return graph


def _add_answer(graph: LineageGraph, result: AnswerTrace, before: Sequence[str]) -> None:
    prediction = result.output.get("prediction")
    detail = "refused" if prediction is None else f"{prediction}"
    node = LineageNode("answer", "answer", detail, minute(result.time), result.id)
    graph.add(node, before)


def _add_backward(graph: LineageGraph, trace: Trace) -> list[str]:
    """Add the steps of a trace and their sources; return the names of those that nothing reads."""
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in reversed(trace.steps):
        groups.setdefault((step.pipeline, step.stage), []).append(step)
    names = {
        step.name: step.name if len(group) <= _SINGLE else f"{pipeline}/{stage}"
        for (pipeline, stage), group in groups.items()
        for step in group
    }
    read = _add_sources(graph, trace.sources, names)
    # Each step comes after its inputs, the reverse of the order in a trace.
    for step in reversed(trace.steps):
        group = groups[step.pipeline, step.stage]
        node = _single(step) if len(group) <= _SINGLE else _partitions(group)
        inputs = [names[one] for one in step.inputs if one in names]
        graph.add(node, [*inputs, *read.get(step.name, ())])
    used = {one for one, _ in graph.edges}
    return [name for name in graph.nodes if name not in used]


def _add_sources(
    graph: LineageGraph, sources: Sequence[Source], names: Mapping[str, str]
) -> dict[str, list[str]]:
    """Add the sources, many of a step as one box; return the boxes that each step reads.

    A source that is the snapshot of another pipeline is the box of the step that stored it.
    """
    readers = Counter(names.get(one.read_by, one.read_by) for one in sources)
    groups: dict[str, list[Source]] = {}
    read: dict[str, list[str]] = {}
    for source in sources:
        reader = names.get(source.read_by, source.read_by)
        stored = names.get(source.snapshot or "")
        own = f"{source.name} {source.sha256}"
        key = stored or (f"sources of {reader}" if readers[reader] > _SINGLE else own)
        if not stored:
            groups.setdefault(key, []).append(source)
        read.setdefault(source.read_by, []).append(key)
    for key, group in groups.items():
        graph.add(_source(key, group))
    return read


def _source(key: str, group: Sequence[Source]) -> LineageNode:
    rows, states = sum(one.rows for one in group), {one.state for one in group}
    wrong = next((words for state, words in _WRONG.items() if state in states), "")
    detail = f"{amount(rows, 'rows')}{wrong}"
    if len(group) > 1:
        full = ", ".join(one.name for one in group[:_SINGLE])
        return LineageNode(key, "sources", f"{len(group):,} sources", detail, full, bool(wrong))
    one = group[0]
    full = f"{one.name}, sha256:{one.sha256}"
    kind = f"join {one.join}" if one.join else "source"
    return LineageNode(key, kind, one.name.rpartition("/")[2], detail, full, bool(wrong))


_WRONG = {"changed": ", changed since", "gone": ", not there"}


def _single(step: Step) -> LineageNode:
    wrong = _is_wrong([table.state for table in step.tables])
    title = f"{step.pipeline}{f' {step.partition}' if step.partition else ''}"
    rows = _rows(step)
    detail = f"{rows}{', changed' if wrong else ''}" or step.data_version[:_DIGITS]
    return LineageNode(step.name, step.stage, title, detail, step.name, wrong)


def _partitions(group: Sequence[Step]) -> LineageNode:
    one = group[0]
    name = f"{one.pipeline}/{one.stage}"
    wrong = _is_wrong([table.state for step in group for table in step.tables])
    detail = f"{len(group):,} partitions{', changed' if wrong else ''}"
    return LineageNode(name, one.stage, one.pipeline, detail, name, wrong)


def _rows(step: Step) -> str:
    for part in ("kept", "train", "learned from", "judged"):
        if part in step.rows:
            return f"{step.rows[part]:,} {ROW_WORDS.get(part, part)}"
    return ""


def _is_wrong(states: Iterable[State]) -> bool:
    return any(state in _WRONG for state in states)


def _add_forward(graph: LineageGraph, trace: Trace) -> None:
    graph.add(_source("source", trace.sources[:1]))
    for route in trace.fates:
        _add_route(graph, route, "source")


def _add_route(graph: LineageGraph, route: RowRoute, before: str) -> None:
    for passage in route.passages:
        graph.add(_passage(passage), [before])
        before = passage.step
    for model in route.models:
        uses = ", ".join(f"{count:,} {part}" for part, count in model.rows.items() if count)
        kind = "champion" if model.champion else "version"
        graph.add(LineageNode(model.name, kind, model.name, uses, model.name), [before])
        if given := model.answers:
            node = LineageNode(
                f"answers of {model.name}",
                "answers",
                f"{given.count:,} answers",
                f"until {given.last[:10]}",
                f"{given.count:,} answers of {model.name}",
            )
            graph.add(node, [model.name])
    for further in route.into:
        _add_route(graph, further, before)


def _passage(passage: StagePassage) -> LineageNode:
    counts = ", ".join(
        f"{count:,} {ROW_WORDS.get(part, part)}" for part, count in passage.rows.items() if count
    )
    wrong = _is_wrong([passage.state])
    title = passage.step.partition("/")[0]
    detail = f"{counts}{', changed' if wrong else ''}"
    return LineageNode(passage.step, passage.stage, title, detail, passage.step, wrong)
