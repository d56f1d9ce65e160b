"""`factory trace`: the trace of a name, as text of at most 100 columns or as JSON.

How a trace is found belongs in `factory_assets.audit.trace`.
"""

from collections.abc import Iterable, Iterator

from factory_assets.audit.references import SHOWN_DIGITS
from factory_assets.audit.trace.report import (
    AnswersGiven,
    ColumnOrigin,
    ModelFact,
    RowOrigin,
    RowRoute,
    Source,
    StagePassage,
    Step,
    Trace,
)
from factory_assets.cli.wrapping import wrap_lines
from factory_assets.web.lineage.graph import ROW_WORDS
from factory_resources.durations import moment
from factory_resources.ledger.factory_verify import amount

MAX_LISTED = 20
"""Up to this many partitions of a stage, or sources, are listed; more are counted."""


def trace_text(result: Trace) -> str:
    """Return the trace for a terminal, in lines of at most `WIDTH` characters."""
    return wrap_lines(_lines(result))


def _lines(result: Trace) -> Iterator[str]:
    yield result.name
    if result.model:
        yield from _model(result.model)
    if result.row:
        yield from ("", "row", *_row(result.row))
    if result.steps:
        yield from ("", "produced by", *step_lines(result.steps))
    if result.sources:
        yield from ("", "sources", *sources_lines(result.sources))
    if result.kind == "source":
        yield from ("", "went to", *(line for route in result.fates for line in _route(route, 2)))
    if result.columns:
        yield from ("", "columns", *map(_column, result.columns))
    yield from ("", *_problems(result))


def _model(model: ModelFact) -> Iterator[str]:
    status = "champion" if model.champion else "not the champion"
    yield f"  {status}; {model.kind}, {model.task}, target {model.target}"
    yield f"  files: {state_words(model.state)}, sha256:{model.digest[:SHOWN_DIGITS]}"
    yield f"  MLflow run {model.mlflow_run}, run {model.run_id or 'unknown'}"
    spec = (model.spec_sha256 or "unknown")[:SHOWN_DIGITS]
    yield f"  code {model.code_version or 'unknown'}, declaration sha256:{spec}"
    if model.passed is None:
        yield "  not evaluated yet"
    else:
        yield f"  gates {'passed' if model.passed else 'failed'} on the test set"
    for gate in model.gates:
        yield f"    {'passed' if gate.passed else 'FAILED'}  {gate.explanation}"
    for when in model.deployed:
        yield f"  became champion {moment(when)} UTC"
    yield from erased_lines(model)


def erased_lines(model: ModelFact) -> Iterator[str]:
    """Yield which rows behind a version were erased."""
    for one in model.erased:
        when = f"{moment(one.time)} UTC (entry {one.entry})"
        yield f"  rows that it learned from were erased {when}"
    for one in model.erased_beside:
        when = f"{moment(one.time)} UTC (entry {one.entry})"
        yield (
            f"  rows that it did not learn from were erased {when}: "
            "rows are counted without them, metrics are those of before"
        )


def _row(row: RowOrigin) -> Iterator[str]:
    for hop in row.hops:
        yield f"  row {hop.row:,} of {_short(hop.table)}"
    name = row.source.name if row.source else "an unknown source"
    yield f"  record {row.record:,} of {name}, sha256:{row.sha256[:SHOWN_DIGITS]}"
    if row.source:
        yield f"    {_source_state(row.source)}"
    if row.answer:
        yield f"    answer {row.answer}, see: factory trace {row.answer}"
    elif row.lines:
        first, last = row.lines
        yield f"    line {first:,}" if first == last else f"    lines {first:,} to {last:,}"
    elif row.lines_unknown:
        yield f"    line unknown: {row.lines_unknown}"


def step_lines(steps: Iterable[Step]) -> Iterator[str]:
    """Yield the lines about some steps; many partitions of a stage are counted."""
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        groups.setdefault((step.pipeline, step.stage), []).append(step)
    for (pipeline, stage), group in groups.items():
        if len(group) > MAX_LISTED:
            total = sum(table.rows for step in group for table in step.tables[:1])
            yield f"  {pipeline}/{stage}: {len(group)} partitions, {total:,} rows"
            continue
        for step in group:
            yield from _step(step)


def _step(step: Step) -> Iterator[str]:
    partition = f" of partition {step.partition}" if step.partition else ""
    yield f"  {_short(step.name)}{partition}"
    code = (step.code or "unknown")[:SHOWN_DIGITS]
    yield f"    run {step.run_id[:8]}, {moment(step.finished)} UTC, code {code}"
    if step.rows:
        counts = ", ".join(f"{n:,} {ROW_WORDS.get(part, part)}" for part, n in step.rows.items())
        verdict = {True: " (add up)", False: " (DO NOT ADD UP)", None: ""}[step.conserved]
        yield f"    rows: {counts}{verdict}"
    for rule, count in step.rules.items():
        yield f"      {count:,} broke {rule}"
    for table in step.tables:
        yield f"    {table.part}: {amount(table.rows, 'rows')}, {state_words(table.state)}"


def sources_lines(sources: tuple[Source, ...]) -> Iterator[str]:
    """Yield the lines about some sources; of many, the first ones."""
    for source in sources[:MAX_LISTED]:
        details = "".join(f", {k} {v}" for k, v in source.labels.items())
        details += f", joined by {source.join}" if source.join else ""
        digest = source.sha256[:SHOWN_DIGITS]
        yield f"  {source.name}, sha256:{digest}, {amount(source.rows, 'rows')}{details}"
        yield f"    {_source_state(source)}"
        yield from _answers(source)
    if len(sources) > MAX_LISTED:
        yield f"  and {len(sources) - MAX_LISTED:,} more"


def _answers(source: Source) -> Iterator[str]:
    if source.answers:
        yield "    answers, each with factory trace ID:"
    for start in range(0, min(len(source.answers), MAX_LISTED), 2):
        yield f"      {' '.join(source.answers[start : start + 2])}"
    if len(source.answers) > MAX_LISTED:
        yield f"      and {len(source.answers) - MAX_LISTED:,} more: --json lists all"


def _source_state(source: Source) -> str:
    if source.snapshot:
        return f"is the snapshot {_short(source.snapshot)}"
    states = {
        "whole": "exists, unchanged",
        "changed": "exists, but was changed since",
        "gone": "does not exist any more",
        "erased": "was removed by an erasure",
        "unchecked": "exists, not verified",
        "not a file": "is not a file: only a run can read it again",
        "not in the archive": "not in the archive",
    }
    return states[source.state]


def _column(column: ColumnOrigin) -> str:
    expression = f" = {' '.join(column.by.split())}" if column.by else ""
    role = "" if column.role == "column" else f"{column.role} "
    origins = ", ".join(column.sources) or "no column"
    return f"  {role}{column.name}{expression} <- {origins}"


def _route(route: RowRoute, indent: int) -> Iterator[str]:
    margin = " " * indent
    for passage in route.passages:
        yield from _passage(passage, margin)
    for model in route.models:
        gates = {True: "gates passed", False: "gates failed", None: "not evaluated"}[model.passed]
        counts = ((model.rows.get(part, 0), use) for part, use in _USES.items())
        uses = "".join(f", {use} {count:,}" for count, use in counts if count)
        if model.knows_validation:
            uses = uses.replace("validated on", "validated and trained on")
        yield f"{margin}{model.name}: {'champion, ' if model.champion else ''}{gates}{uses}"
        yield from _given(model.answers, margin)
    for next_route in route.into:
        yield from _route(next_route, indent + 2)


def _given(answers: AnswersGiven | None, margin: str) -> Iterator[str]:
    if answers is None:
        return
    first, last = moment(answers.first), moment(answers.last)
    yield f"{margin}  gave {amount(answers.count, 'answers')}, from {first} to {last} UTC"
    listed = answers.ids[-MAX_LISTED:]
    for start in range(0, len(listed), 2):
        yield f"{margin}    {' '.join(listed[start : start + 2])}"
    if answers.ids and answers.count > len(listed):
        yield f"{margin}    and {answers.count - len(listed):,} before: --json lists all on record"


def _passage(passage: StagePassage, margin: str) -> Iterator[str]:
    partition = f" of partition {passage.partition}" if passage.partition else ""
    counts = ", ".join(f"{n:,} {ROW_WORDS.get(part, part)}" for part, n in passage.rows.items())
    if passage.joined:
        counts = f"joined to its rows ({passage.joined})"
    yield f"{margin}{_short(passage.step)}{partition}: {counts or state_words(passage.state)}"
    for place in passage.places:
        part = ROW_WORDS.get(place.part, place.part)
        location = f"{part}, row {place.row:,}" if place.row else part
        broken = f", broke {', '.join(place.rules)}" if place.rules else ""
        original = f" of record {place.same_as:,}" if place.same_as else ""
        yield f"{margin}  {location}{broken}{original}"
    if not passage.places:
        for rule, count in passage.rules.items():
            yield f"{margin}  {count:,} broke {rule}"


_USES = {"train": "trained on", "validation": "validated on", "test": "tested on"}


def _problems(result: Trace) -> Iterator[str]:
    if result.problems:
        yield f"{len(result.problems)} problem{'s' * (len(result.problems) > 1)}:"
        yield from (f"  {problem}" for problem in result.problems)
    elif result.verified:
        yield "no problems: every stored file was read and matches its digest"
    else:
        yield "no problems found; the stored files were not read (--no-verify)"


def state_words(state: str) -> str:
    """Say how stored bytes compare with what was recorded."""
    words = {
        "whole": "unchanged",
        "changed": "CHANGED",
        "gone": "MISSING",
        "erased": "removed by an erasure",
        "unchecked": "exists, not verified",
    }
    return words.get(state, state)


def _short(name: str) -> str:
    place, _, version = name.partition("@")
    return f"{place}@{version[:SHOWN_DIGITS]}"
