"""`factory trace NAME`: what the name is traced as, and in which form the trace is printed.

The text of each kind of trace belongs in `trace` and `prediction`, the page in `web.lineage`.
"""

from dataclasses import dataclass
from pathlib import Path

from factory_assets.audit.trace.answer.report import AnswerTrace
from factory_assets.audit.trace.report import Trace
from factory_assets.cli.prediction import (
    answer_json,
    answer_text,
    is_prediction_id,
    run_answer_trace,
)
from factory_assets.cli.trace import MAX_LISTED, run_trace, trace_json, trace_text
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import storage_errors


@dataclass(frozen=True)
class TraceOptions:
    """What the command line said beside the name."""

    row: str | None
    as_json: bool
    page: Path | None
    answers: bool
    influence: bool
    edge_log: Path | None
    verify: bool


def run_tracing(name: str, options: TraceOptions) -> tuple[str, bool]:
    """Trace a name; return what is printed, and whether anything differs from what was written.

    Raises:
        FactoryError: there is no such thing, or an option is not about it.
    """
    if is_prediction_id(name):
        _require_unset(name, "an answer", {"--row": options.row, "--answers": options.answers})
        answer = run_answer_trace(
            name,
            verify=options.verify,
            influence=options.influence,
            edge_log=options.edge_log,
        )
        _write_page(answer, options.page)
        return (answer_json if options.as_json else answer_text)(answer), bool(answer.problems)
    unset = {"--influence": options.influence, "--edge-log": options.edge_log}
    _require_unset(name, "no answer", unset)
    ids = (None if options.as_json else MAX_LISTED) if options.answers else 0
    result = run_trace(name, options.row, verify=options.verify, answer_ids=ids)
    if options.answers and result.kind != "source":
        _require_unset(name, f"a {result.kind}", {"--answers": True})
    _write_page(result, options.page)
    return (trace_json if options.as_json else trace_text)(result), bool(result.problems)


def _require_unset(name: str, kind: str, options: dict[str, object]) -> None:
    for option, value in options.items():
        if value:
            raise UnknownNameError(f"{name} is {kind}", remedy=f"leave {option} out")


def _write_page(result: Trace | AnswerTrace, page: Path | None) -> None:
    if page is None:
        return
    from factory_assets.web.lineage.page import trace_page

    with storage_errors(page):
        page.write_text(trace_page(result), encoding="utf-8")
