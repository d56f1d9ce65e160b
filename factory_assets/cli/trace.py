"""`factory trace`: what is known of a name, as text of at most 100 columns or as JSON."""

import json
from collections.abc import Iterable, Iterator

from factory_assets.audit.references import SHORT
from factory_assets.audit.trace.report import (
    ColumnOrigin,
    ModelFact,
    Passage,
    RowOrigin,
    RowRoute,
    Source,
    Step,
    Trace,
)
from factory_assets.audit.trace.trace import trace
from factory_assets.cli.shared import fit_width
from factory_assets.declarations.loader import pipeline_folders
from factory_resources.home.home import Home

MANY = 20
"""Of more partitions or sources than this, only the number is told."""


def run_trace(name: str, row: str | None, verify: bool) -> Trace:
    """The trace of a name in this home; raises as `trace` does."""
    folders = {folder.name: folder for folder in pipeline_folders()}
    return trace(name, Home.from_env(), row=row, folders=folders, verify=verify)


def trace_json(found: Trace) -> str:
    return found.model_dump_json(indent=1) + "\n"


def trace_schema_text() -> str:
    """The JSON Schema of the JSON, as it is published."""
    schema = Trace.model_json_schema(mode="serialization")
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def trace_text(found: Trace) -> str:
    """The trace for a person."""
    return "\n".join(line for told in _lines(found) for line in fit_width(told)) + "\n"


def _lines(found: Trace) -> Iterator[str]:
    yield found.name
    if found.model:
        yield from _model(found.model)
    if found.row:
        yield from ("", "row", *_row(found.row))
    if found.steps:
        yield from ("", "made by", *_steps(found.steps))
    if found.sources:
        yield from ("", "sources", *_sources(found.sources))
    if found.kind == "source":
        yield from ("", "went to", *(line for fate in found.fates for line in _fate(fate, 2)))
    if found.columns:
        yield from ("", "columns", *map(_column, found.columns))
    yield from ("", *_problems(found))


def _model(model: ModelFact) -> Iterator[str]:
    serves = "champion" if model.champion else "not the champion"
    yield f"  {serves}; {model.kind}, {model.task}, target {model.target}"
    yield f"  files: {_state(model.state)}, sha256:{model.digest[:SHORT]}"
    yield f"  MLflow run {model.mlflow_run}, run {model.run_id or 'unknown'}"
    spec = (model.spec_sha256 or "unknown")[:SHORT]
    yield f"  code {model.code_version or 'unknown'}, declaration sha256:{spec}"
    if model.passed is None:
        yield "  not judged yet"
    else:
        yield f"  gates {'passed' if model.passed else 'failed'} on the test rows"
    for gate in model.gates:
        yield f"    {'passed' if gate.passed else 'FAILED'}  {gate.explanation}"
    for when in model.deployed:
        yield f"  made champion {when}"


def _row(row: RowOrigin) -> Iterator[str]:
    for hop in row.hops:
        yield f"  row {hop.row:,} of {_short(hop.table)}"
    name = row.source.name if row.source else "an unknown source"
    yield f"  record {row.record:,} of {name}, sha256:{row.sha256[:SHORT]}"
    if row.source:
        yield f"    {_source_state(row.source)}"
    if row.lines:
        first, last = row.lines
        yield f"    line {first:,}" if first == last else f"    lines {first:,} to {last:,}"
    elif row.lines_unknown:
        yield f"    its line cannot be told: {row.lines_unknown}"


def _steps(steps: Iterable[Step]) -> Iterator[str]:
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        groups.setdefault((step.pipeline, step.stage), []).append(step)
    for (pipeline, stage), found in groups.items():
        if len(found) > MANY:
            total = sum(table.rows for step in found for table in step.tables[:1])
            yield f"  {pipeline}/{stage}: {len(found)} partitions, {total:,} rows"
            continue
        for step in found:
            yield from _step(step)


def _step(step: Step) -> Iterator[str]:
    of = f" of partition {step.partition}" if step.partition else ""
    yield f"  {_short(step.name)}{of}"
    yield f"    run {step.run_id[:8]}, {step.finished}, code {(step.code or 'unknown')[:SHORT]}"
    if step.rows:
        counts = ", ".join(f"{count:,} {what}" for what, count in step.rows.items())
        added = {True: " (add up)", False: " (DO NOT ADD UP)", None: ""}[step.conserved]
        yield f"    rows: {counts}{added}"
    for rule, count in step.rules.items():
        yield f"      {count:,} broke {rule}"
    for table in step.tables:
        yield f"    {table.part}: {table.rows:,} rows, {_state(table.state)}"


def _sources(sources: tuple[Source, ...]) -> Iterator[str]:
    for source in sources[:MANY]:
        label = "".join(f", {k} {v}" for k, v in source.labels.items())
        label += f", joined by {source.join}" if source.join else ""
        yield f"  {source.name}, sha256:{source.sha256[:SHORT]}, {source.rows:,} rows{label}"
        yield f"    {_source_state(source)}"
    if len(sources) > MANY:
        yield f"  and {len(sources) - MANY:,} more"


def _source_state(source: Source) -> str:
    if source.snapshot:
        return f"is {_short(source.snapshot)}"
    words = {
        "whole": "is there unchanged",
        "changed": "is there, but has changed since",
        "gone": "is not there any more",
        "unchecked": "is there, not compared",
        "not a file": "is no file",
    }
    return words[source.state]


def _column(column: ColumnOrigin) -> str:
    made = f" = {' '.join(column.by.split())}" if column.by else ""
    role = "" if column.role == "column" else f"{column.role} "
    origins = ", ".join(column.sources) or "no column"
    return f"  {role}{column.name}{made} <- {origins}"


def _fate(fate: RowRoute, indent: int) -> Iterator[str]:
    blank = " " * indent
    for passage in fate.passages:
        yield from _passage(passage, blank)
    for model in fate.models:
        judged = {True: "gates passed", False: "gates failed", None: "not judged"}[model.passed]
        counts = ((model.rows.get(part, 0), word) for part, word in _USE.items())
        used = "".join(f", {word} {count:,}" for count, word in counts if count)
        yield f"{blank}{model.name}: {'champion, ' if model.champion else ''}{judged}{used}"
    for other in fate.into:
        yield from _fate(other, indent + 2)


def _passage(passage: Passage, blank: str) -> Iterator[str]:
    of = f" of partition {passage.partition}" if passage.partition else ""
    counts = ", ".join(f"{count:,} {_WHERE.get(w, w)}" for w, count in passage.rows.items())
    if passage.joined:
        counts = f"joined to its rows ({passage.joined})"
    yield f"{blank}{_short(passage.step)}{of}: {counts or _state(passage.state)}"
    for place in passage.places:
        part = _WHERE.get(place.part, place.part)
        at = f"{part}, row {place.row:,}" if place.row else part
        broke = f", broke {', '.join(place.rules)}" if place.rules else ""
        same = f" of record {place.same_as:,}" if place.same_as else ""
        yield f"{blank}  {at}{broke}{same}"
    if not passage.places:
        for rule, count in passage.rules.items():
            yield f"{blank}  {count:,} broke {rule}"


_WHERE = {"snapshot": "kept", "quarantine": "in quarantine"}

_USE = {"train": "learned from", "validation": "validated on", "test": "judged on"}


def _problems(found: Trace) -> Iterator[str]:
    if found.problems:
        yield f"{len(found.problems)} problems:"
        yield from (f"  {problem}" for problem in found.problems)
    elif found.verified:
        yield "no problems: every stored file was read, and is what was written"
    else:
        yield "no problems seen; the files were not read (--no-verify)"


def _state(state: str) -> str:
    return {"unchecked": "there, not read", "changed": "CHANGED", "gone": "GONE"}.get(state, state)


def _short(name: str) -> str:
    place, _, version = name.partition("@")
    return f"{place}@{version[:SHORT]}"
