"""`factory trace ID`: the logged answer with this id, and what is behind it, as text or as JSON.

How it is found belongs in `factory_assets.audit.trace.answer`.
"""

from collections.abc import Iterable, Iterator

from factory_assets.audit.influence_report import InfluenceReport
from factory_assets.audit.references import SHOWN_DIGITS
from factory_assets.audit.trace.answer.report import (
    AnswerTrace,
    ArchiveFact,
    EdgeFact,
    LedgerEvent,
    StandingFact,
)
from factory_assets.cli.influence import influence_lines
from factory_assets.cli.trace import erased_lines, sources_lines, state_words, step_lines
from factory_assets.cli.wrapping import wrap_lines
from factory_resources.durations import minute
from factory_resources.errors import UnknownNameError
from factory_resources.ledger.factory_verify import amount
from factory_resources.metering.si_prefix import si_prefixed
from factory_resources.prediction_log.ids import parse, text


def prediction_id(name: str) -> str | None:
    """Return the id of a prediction as clients get it; None if the name is none.

    Entries of the ledger, and what is printed of them, have it without hyphens.
    """
    try:
        return text(parse(name))
    except UnknownNameError:
        return None


def answer_text(result: AnswerTrace) -> str:
    """Return the trace for a terminal, in lines of at most `WIDTH` characters."""
    return wrap_lines(_lines(result))


def _lines(found: AnswerTrace) -> Iterator[str]:
    yield f"prediction {found.id}"
    yield from _answer(found)
    if found.archive:
        yield from _archive(found.archive)
    if found.edge:
        yield from _edge(found.edge, is_here=not found.missing)
    yield from _proof(found)
    yield from ("", "version", *_version(found))
    for title, events in (("approvals", found.approvals), ("serving", found.serving)):
        if events:
            yield from ("", title, *_events(events))
    yield from ("", "training", *_training(found))
    if found.influence:
        yield from ("", "training rows that moved it", *_moved(found.influence))
    yield from ("", "data", *_data(found))
    if found.missing:
        yield from ("", "not in the archive" if found.archive else "not in the pack")
        yield from (f"  {what}" for what in found.missing)
    yield from ("", *_problems(found))


def _answer(found: AnswerTrace) -> Iterator[str]:
    who = f" by {found.caller}" if found.caller else ""
    yield (
        f"  asked     {found.time[:23].replace('T', ' ')} UTC{who} ({found.protocol}), row "
        f"{found.row + 1} of {max(1, found.rows)}, answered in {found.milliseconds:.1f} ms"
    )
    yield f"  model     {found.pipeline}@{found.version}, {standing_words(found.standing)}"
    if found.input is not None:
        yield from (f"  input     {name} = {value!r}" for name, value in found.input.items())
    yield from (f"  output    {name} = {value!r}" for name, value in found.named_output.items())
    for one in found.outcomes:
        value = "(hidden, the target is sensitive)" if one.hidden else repr(one.value)
        yield f"  outcome   {value}, observed {minute(one.observed)}, by {one.source}"


def standing_words(standing: StandingFact) -> str:
    """Say what a version was at a moment."""
    entry = f" (entry {standing.entry})" if standing.entry is not None else ""
    since = f" since {minute(standing.since)}{entry}" if standing.since else ""
    champion = f"; version {standing.champion} was champion" if standing.champion else ""
    stopped = ", which a person had stopped" if standing.stopped else ""
    words = {
        "champion": f"champion{since}{stopped}",
        "canary": f"canary{since}{champion}{stopped}",
        "shadow": f"shadow{since}{champion}{stopped}",
        "pack": f"packed for another machine{since}",
        "former champion": f"no longer champion{champion}{stopped}",
        "none": f"neither champion nor in a roll-out{champion}{stopped}",
    }
    return words[standing.role]


def _archive(archive: ArchiveFact) -> Iterator[str]:
    name = f"{archive.pipeline}@{archive.version}"
    yield f"  evidence  of {name}, sha256:{archive.sha256[:SHOWN_DIGITS]}"
    yield f"            of a ledger of {archive.size:,} entries; is this the key that you know?"
    yield f"            {archive.key}"


def _edge(edge: EdgeFact, *, is_here: bool) -> Iterator[str]:
    entry = f"entry {edge.entry}" if edge.entry is not None else "in no ledger"
    yield f"  pack      {edge.pack[:SHOWN_DIGITS]}, {entry}; device key {edge.key}"
    if edge.line:
        yield f"            line {edge.line} of the log sha256:{(edge.file or '')[:SHOWN_DIGITS]}"
    if edge.received:
        log = f"its log came home {minute(edge.received)} (entry {edge.received_entry})"
    else:
        log = "its log has not come home: factory ingest-log FOLDER"
    if edge.received or is_here:
        yield f"            {log}"
    yield from (f"            wrong: {finding}" for finding in edge.findings)


def _proof(found: AnswerTrace) -> Iterator[str]:
    proof = found.proof
    if proof is None:
        signed = "a checkpoint of the pack proves it" if found.edge else "not yet in the ledger"
        yield f"  proof     {signed}"
        return
    entry = f"entry {proof.entry}, one of {proof.count:,} records" if proof.entry else "NO ENTRY"
    yield f"  proof     block {proof.block} of the ledger ({entry})"
    words = {True: "the record leads to its root", False: "DOES NOT LEAD TO ITS ROOT"}
    if proof.proven is not None:
        yield f"            {words[proof.proven]} {(proof.root or '')[:SHOWN_DIGITS]}"


def _version(found: AnswerTrace) -> Iterator[str]:
    model = found.lineage.model if found.lineage else None
    name = f"{found.pipeline}@{found.version}"
    if model:
        yield f"  {name}: {model.kind}, {model.task}, target {model.target}"
        yield f"  files {state_words(model.state)}, sha256:{model.digest[:SHOWN_DIGITS]}"
        yield from erased_lines(model)
    else:
        yield f"  {name}"
    if found.verdict is None:
        yield "  no verdict is in the ledger"
        return
    verdict = "passed" if found.verdict.passed else "FAILED"
    yield f"  gates {verdict} {minute(found.verdict.time)} (entry {found.verdict.entry})"
    explained = {gate.name: gate.explanation for gate in (model.gates if model else ())}
    for gate, passed in found.verdict.gates.items():
        yield f"    {'passed' if passed else 'FAILED'}  {explained.get(gate, gate)}"


def _events(events: Iterable[LedgerEvent]) -> Iterator[str]:
    for one in events:
        who = f" by {one.name or 'somebody whose name is not known here'}" if one.person else ""
        role = f" ({one.role})" if one.role else ""
        reason = f": {one.reason}" if one.reason else ""
        later = "" if one.before else ", after the answer"
        yield f"  {minute(one.time)}{later}  {one.what}{who}{role}{reason} (entry {one.entry})"


def _training(found: AnswerTrace) -> Iterator[str]:
    if run := found.run:
        account = run.account_name or (run.account or "unknown")[:SHOWN_DIGITS]
        yield f"  run {run.run_id}, account {account}, boundary {run.boundary or 'not recorded'}"
    if made := found.environment:
        threads = amount(made.threads, "threads")
        yield f"  Python {made.python}, {made.system}, {made.device}, {threads}"
        if made.processor:
            yield f"  {made.processor}"
        yield (
            f"  libraries sha256:{made.libraries_sha256[:SHOWN_DIGITS]}, "
            f"code sha256:{made.code_sha256[:SHOWN_DIGITS]}"
        )
    # What the data of another pipeline cost is counted there, as in the cost of the version.
    if costs := [one for one in found.costs if one.step.startswith(f"{found.pipeline}/")]:
        wh = sum(one.wh for one in costs)
        grams = sum(one.co2e for one in costs if one.co2e is not None)
        methods = ", ".join(dict.fromkeys(one.method for one in costs if one.method))
        yield (
            f"  {sum(one.seconds for one in costs):.1f} s, "
            f"{si_prefixed(wh, 'Wh')}, {si_prefixed(grams, 'g CO2e')}"
            + (f" ({methods})" if methods else "")
        )


def _moved(report: InfluenceReport) -> Iterator[str]:
    yield from (f"  {line}" for line in influence_lines(report))


def _data(found: AnswerTrace) -> Iterator[str]:
    for contract in found.contracts:
        yield (
            f"  contract of {contract.pipeline}: {contract.columns} columns, "
            f"sha256:{contract.sha256[:SHOWN_DIGITS]}"
        )
        for rule, count in contract.broken.items():
            yield f"    {amount(count, 'rows')} broke {rule}"
    if found.lineage:
        yield from step_lines(found.lineage.steps)
        yield from sources_lines(found.lineage.sources)
        yield f"  more: factory trace {found.lineage.name}"


def _problems(found: AnswerTrace) -> Iterator[str]:
    if found.problems:
        yield f"{len(found.problems)} problem{'s' * (len(found.problems) > 1)}:"
        yield from (f"  {problem}" for problem in found.problems)
    elif found.archive:
        yield "no problems: whatever the archive has matches its digest and leads to its checkpoint"
    elif found.lineage and found.lineage.verified:
        yield "no problems: every stored file was read and matches its digest"
    else:
        yield "no problems found; the stored files were not read"
