"""`factory monitor`: look at the answers now, show the last look, or accept what is new."""

from collections.abc import Iterator, Sequence

from click.exceptions import Exit
from rich.console import Console
from rich.table import Table
from rich.text import Text

from factory_assets.cli.code_inside import names_sources
from factory_assets.cli.run_inside import run_inside
from factory_assets.cli.shared import raise_worst, select
from factory_assets.execution.missing_champion import no_champion
from factory_assets.monitoring.champion import require_watch
from factory_assets.monitoring.looks import Looks
from factory_assets.monitoring.report import MonitorReport
from factory_assets.monitoring.watching import WatchedOnce, watch_once
from factory_assets.results.metric_text import interval_text, metric_text
from factory_assets.spec import Pipeline
from factory_resources.errors import DeclarationError, FactoryError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import amount
from factory_resources.tracking.registry import Registry


def look_at(names: Sequence[str], console: Console, *, last: bool) -> bool:
    """Look at the answers of pipelines; return whether no alarm is open.

    Args:
        names: empty for all pipelines that are watched and serve.
        last: show the last look instead of taking one.

    Raises:
        FactoryError: a pipeline is unknown or not watched; or the worst that kept one from being
            looked at, after the other pipelines were.
        Exit: a function of the user's had to be called inside a boundary, and that failed.
    """
    home, calm = Home.from_env(), True
    watched, registry = _watched(names), Registry(home)
    idle = [] if names else [one for one in watched if registry.champion(one.name) is None]
    pipelines = [one for one in watched if one not in idle]
    if not last and any(names_sources(pipeline) for pipeline in pipelines):
        code = run_inside(["monitor", "--", *names], pipelines, home, console, looks=True)
        if code is not None:
            if code > 1:
                raise Exit(code)
            return not code
    for pipeline in idle:
        console.print(str(no_champion(pipeline.name, home)), style="dim", markup=False)
    errors: list[FactoryError] = []
    for pipeline in pipelines:
        try:
            seen = WatchedOnce(_last(pipeline, home), ()) if last else watch_once(pipeline, home)
        except FactoryError as error:
            errors.append(error)
            continue
        report = seen.report
        show(report, console)
        for problem in seen.problems:
            console.print(f"problem: {problem}", style="yellow", markup=False)
        calm = calm and not report.alarms
    raise_worst(errors, console)
    return calm


def _watched(names: Sequence[str]) -> list[Pipeline]:
    if names:
        found = select(names)
        for pipeline in found:
            require_watch(pipeline)
        return found
    found = [pipeline for pipeline in select(()) if pipeline.spec.watch]
    if not found:
        raise DeclarationError(
            "no pipeline is watched", remedy="add `watch: {}` to a pipeline's defs.yaml"
        )
    return found


def _last(pipeline: Pipeline, home: Home) -> MonitorReport:
    report = Looks(home, pipeline.name).latest()
    if report is None:
        raise UnknownNameError(
            f"nobody has looked at the answers of {pipeline.name} yet",
            remedy=f"look now: factory monitor {pipeline.name}",
        )
    return report


def accept_changes(name: str, reason: str) -> str:
    """Compare later answers of a pipeline with its present ones; return what was done."""
    from factory_assets.execution.signed_decision import require_reason
    from factory_assets.monitoring.accepting import accept

    [pipeline], reason = select([name]), require_reason(reason)
    rows = accept(pipeline, reason, Home.from_env())
    return f"later answers of {name} are compared with its {rows:,} newest ones"


def show(report: MonitorReport, console: Console) -> None:
    """Print a report."""
    console.print(
        f"{report.pipeline}@{report.version}  look {report.number}, {report.time[:16]} UTC  "
        f"{amount(report.rows, 'rows')} in {amount(report.requests, 'requests')}, "
        f"{report.refused:,} refused",
        markup=False,
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, show_header=False)
    for cells in _lines(report):
        # The name of a column may have what Rich reads as a style, such as [rpm].
        table.add_row(*map(Text, cells))
    console.print(table)


def _lines(report: MonitorReport) -> Iterator[tuple[str, str]]:
    for alarm in report.alarms:
        yield f"ALARM {alarm.kind}", f"{alarm.what}; {alarm.remedy}"
    for one in report.findings:
        yield f"{one.what} {one.column or 'all columns'}", one.text
    if not report.findings:
        yield "drift", f"none, evidence {report.evidence:.2g} days"
    for name, metric in report.estimated.items():
        doubt = "" if metric.trusted else f"; not to be trusted: {metric.why}"
        yield (
            f"estimated {name}",
            f"{metric_text(metric.value)} ({interval_text(metric.low, metric.high)}){doubt}",
        )
    if report.real:
        for name, real in report.real.metrics.items():
            span = "" if real.low is None else f" ({interval_text(real.low, real.high)})"
            rows = f"{amount(report.real.labelled, 'rows')} with outcomes"
            yield f"real {name}", f"{metric_text(real.value)}{span}, {rows}"
    if report.hidden:
        yield "not watched", f"{', '.join(report.hidden)}: the log has only commitments"
