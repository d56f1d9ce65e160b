"""`factory trace NAME`: what the name is traced as, and in which form the trace is printed.

The text of each kind of trace belongs in `trace` and `prediction`, the page in `web.lineage`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from factory_assets.audit.archived_home import opened_archive
from factory_assets.audit.influence_report import InfluenceReport
from factory_assets.audit.trace.answer.finding import (
    TracedAnswer,
    find_answer,
    find_in_log,
    find_proven,
)
from factory_assets.audit.trace.answer.report import AnswerTrace
from factory_assets.audit.trace.answer.trace import trace_answer
from factory_assets.audit.trace.report import Trace
from factory_assets.audit.trace.trace import trace
from factory_assets.cli.output_file import write_document
from factory_assets.cli.prediction import answer_text, prediction_id
from factory_assets.cli.shared import read_file
from factory_assets.cli.trace import MAX_LISTED, trace_text
from factory_assets.cli.wrapping import json_text
from factory_assets.declarations.loader import folders_by_name
from factory_assets.spec import Pipeline
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger

_TOP = 10
"""Training rows that are listed."""


@dataclass(frozen=True)
class TraceOptions:
    """What the command line said beside the name."""

    row: str | None
    as_json: bool
    page: Path | None
    prov: Path | None
    answers: bool
    influence: bool
    edge_log: Path | None
    evidence: Path | None
    prediction: Path | None
    verify: bool


def run_tracing(name: str, options: TraceOptions) -> tuple[str, bool]:
    """Trace a name; return what is printed, and whether anything differs from what was written.

    Raises:
        FactoryError: there is no such thing, or an option is not about it.
    """
    if options.evidence or options.prediction or _is_pack_elsewhere(options):
        return _trace_elsewhere(name, options)
    folders = folders_by_name()
    if answer_id := prediction_id(name):
        _require_unset(name, "an answer", {"--row": options.row, "--answers": options.answers})
        answer = _answer(answer_id, options, folders)
        return _written(answer, options, Home.from_env())
    unset = {"--influence": options.influence, "--edge-log": options.edge_log}
    _require_unset(name, "no answer", unset)
    ids = (None if options.as_json else MAX_LISTED) if options.answers else 0
    home, verify = Home.from_env(), options.verify
    result = trace(name, home, row=options.row, folders=folders, verify=verify, answer_ids=ids)
    if result.kind != "source":
        _require_unset(name, f"a {result.kind}", {"--answers": options.answers})
    else:
        _require_unset(name, "a source", {"--prov": options.prov})
    _write_files(result, options, home)
    return json_text(result) if options.as_json else trace_text(result), bool(result.problems)


def _is_pack_elsewhere(options: TraceOptions) -> bool:
    """Whether a log is to be read where no factory is.

    Raises:
        StorageError: there was one, and its ledger is gone.
    """
    return not Ledger(Home.from_env()).exists and options.edge_log is not None


def _trace_elsewhere(name: str, options: TraceOptions) -> tuple[str, bool]:
    """Trace an answer of another factory, without a home."""
    answer_id = prediction_id(name)
    if answer_id is None:
        raise UnknownNameError(
            f"{name} is not the id of an answer, and only answers are traced from evidence",
            remedy="give the id of an answer, or leave --evidence and --prediction out",
        )
    given = {"--row": options.row, "--answers": options.answers, "--influence": options.influence}
    _require_unset(name, "an answer of another factory", given)
    if options.prediction and not options.evidence:
        remedy = "give the evidence of the version too: --evidence FILE"
        raise UnknownNameError("a proof alone cannot be traced", remedy=remedy)
    if bool(options.prediction) == bool(options.edge_log):
        remedy = "give either --prediction FILE or --edge-log FILE"
        raise UnknownNameError("an evidence archive contains no answers", remedy=remedy)
    proof = read_file(options.prediction) if options.prediction else None
    with opened_archive(options.evidence, proof) as archive:
        if proof:
            answer = find_proven(answer_id, proof, archive)
        else:
            assert options.edge_log
            answer = find_in_log(answer_id, options.edge_log, archive)
        home, verify = archive.home, options.verify
        found = trace_answer(answer, home, folders={}, verify=verify, archive=archive)
        return _written(found, options, home)


def _written(found: AnswerTrace, options: TraceOptions, home: Home) -> tuple[str, bool]:
    _write_files(found, options, home)
    return json_text(found) if options.as_json else answer_text(found), bool(found.problems)


def _answer(name: str, options: TraceOptions, folders: Mapping[str, Path]) -> AnswerTrace:
    home = Home.from_env()
    answer = find_answer(name, home, options.edge_log)
    moved = _influence(answer, home, folders, options) if options.influence else None
    return trace_answer(answer, home, folders=folders, verify=options.verify, influence=moved)


def _influence(
    answer: TracedAnswer, home: Home, folders: Mapping[str, Path], options: TraceOptions
) -> InfluenceReport:
    from factory_assets.cli.shared import select

    [pipeline] = select([answer.record.pipeline])
    if (moved := _influence_inside(answer, pipeline, home, options)) is not None:
        return moved
    from factory_assets.audit.influence import influential_on_answer
    from factory_assets.data.privacy.sensitive_columns import redact_errors

    with redact_errors(pipeline):
        return influential_on_answer(pipeline, answer.prediction, home, top=_TOP, folders=folders)


def _influence_inside(
    answer: TracedAnswer, pipeline: Pipeline, home: Home, options: TraceOptions
) -> InfluenceReport | None:
    """Compute it inside a boundary if the model is a class of the user's; None if not."""
    from factory_assets.cli.code_inside import names_model, output_inside, path_inside
    from factory_assets.cli.run_inside import factory_command

    if not names_model(pipeline):
        return None
    logs = [path_inside(options.edge_log)] if options.edge_log else []
    given = [f"--edge-log={log}" for log in logs]
    words = ["trace", "--influence", "--json", "--no-verify", *given, "--", answer.id]
    output = output_inside(factory_command(words), [pipeline], home, logs, finds=True)
    if output is None:
        return None
    return InfluenceReport.model_validate(json.loads(output)["influence"])


def _require_unset(name: str, kind: str, options: Mapping[str, object]) -> None:
    for option, value in options.items():
        if value:
            raise UnknownNameError(f"{name} is {kind}", remedy=f"leave {option} out")


def _write_files(result: Trace | AnswerTrace, options: TraceOptions, home: Home) -> None:
    if options.prov:
        from factory_assets.cli.prov import write_prov

        write_prov(result, options.prov, home)
    if options.page:
        _write_page(result, options.page)


def _write_page(result: Trace | AnswerTrace, page: Path) -> None:
    from factory_assets.web.lineage.page import trace_page

    write_document(page, trace_page(result).encode())
