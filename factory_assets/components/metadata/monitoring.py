"""Describe a look for the Dagster UI: figures, tables and plots of the monitor's page."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from factory_assets.components.metadata.markdown import picture, table
from factory_assets.ml.plots.monitoring import plot_evidence, plot_metric, plot_rows
from factory_assets.monitoring.looks import Looks
from factory_assets.monitoring.report import MANY_DAYS, MonitorReport
from factory_assets.results.metric_text import interval_text, metric_text
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home

_PLOTTED = 90
"""Looks."""

_LONGEST = 400
"""Characters of a cell."""


def describe_look(
    pipeline: Pipeline, report: MonitorReport, problems: Sequence[str], home: Home
) -> dict[str, Any]:
    """Return the metadata of a look.

    Args:
        problems: why alerts were not taken, or outcomes not recorded.
    """
    reports = Looks(home, pipeline.name).reports(_PLOTTED)
    return {
        "version": report.version,
        "look": report.number,
        "rows answered": report.rows,
        "requests": report.requests,
        "requests refused": report.refused,
        "rows read": report.sampled,
        "evidence of drift [days]": round(min(report.evidence, MANY_DAYS), 3),
        "alarms": dg.MetadataValue.md(alarm_table(report)),
        "what changed": dg.MetadataValue.md(finding_table(report)),
        "estimated performance": dg.MetadataValue.md(estimate_table(report)),
        "real performance": dg.MetadataValue.md(real_table(report)),
        "columns that cannot be watched": ", ".join(report.hidden) or "none",
        "problems": "; ".join(problems) or "none",
        "plots": dg.MetadataValue.md("\n\n".join(plots(pipeline, reports))),
    }


def alarm_table(report: MonitorReport) -> str:
    """Return the open alarms as Markdown."""
    rows = [(alarm.kind, f"{alarm.what}; {alarm.remedy}") for alarm in report.alarms]
    return table(("alarm", "what, and what to do"), rows, _LONGEST) if rows else "none"


def finding_table(report: MonitorReport) -> str:
    """Return what changed as Markdown, the strongest evidence first."""
    rows = [
        (f"{one.column or 'all columns together'} ({one.what})", one.text)
        for one in report.findings
    ]
    return table(("column", "change"), rows, _LONGEST) if rows else "nothing"


def estimate_table(report: MonitorReport) -> str:
    """Return the estimated metrics as Markdown."""
    rows = [
        (
            name,
            f"{metric_text(one.value)} ({interval_text(one.low, one.high)})"
            + ("" if one.tested is None else f"; on the test rows {metric_text(one.tested)}")
            + ("" if one.trusted else f"; not to be trusted: {one.why}"),
        )
        for name, one in report.estimated.items()
    ]
    return table(("metric", "estimate without outcomes"), rows, _LONGEST) if rows else "none"


def real_table(report: MonitorReport) -> str:
    """Return the metrics of the answers with outcomes as Markdown, and those of their slices."""
    real = report.real
    if real is None:
        return "no outcome is known yet"
    rows = [
        (
            name,
            metric_text(one.value)
            + ("" if one.low is None else f" ({interval_text(one.low, one.high)})")
            + ("" if one.tested is None else f"; on the test rows {metric_text(one.tested)}"),
        )
        for name, one in real.metrics.items()
    ]
    rows += [
        (f"{name}, {one.column} = {one.value}", f"{metric_text(value)}; {one.rows:,} rows")
        for one in real.slices
        for name, value in one.metrics.items()
    ]
    head = f"{real.labelled:,} rows with outcomes"
    text = table(("metric", head), rows, _LONGEST)
    return f"{text}\n\n{real.caveat}" if real.caveat else text


def plots(pipeline: Pipeline, reports: Sequence[MonitorReport]) -> list[str]:
    """Return the plots over the looks as Markdown pictures."""
    watch = pipeline.spec.watch
    if len(reports) < 2 or watch is None:
        return []
    times = [datetime.fromisoformat(report.time) for report in reports]
    evidence = [report.evidence for report in reports]
    rates = daily_rows(reports)
    drawn = [
        picture("evidence", plot_evidence(times, evidence, watch.period, pipeline.name)),
        picture("rows", plot_rows(times, rates, pipeline.name)),
    ]
    for name in reports[-1].estimated:
        known = [
            (t, r.estimated[name])
            for t, r in zip(times, reports, strict=True)
            if name in r.estimated
        ]
        bands = [(one.value, one.low, one.high) for _, one in known]
        moments = [time for time, _ in known]
        real = [
            (t, r.real.metrics[name].value)
            for t, r in zip(times, reports, strict=True)
            if r.real and name in r.real.metrics
        ]
        drawn.append(picture(name, plot_metric(moments, bands, known[-1][1].tested, real, name)))
    return drawn


def daily_rows(reports: Sequence[MonitorReport]) -> list[float]:
    """Return the rows a day at each look, over at least the day before it.

    Of the minutes between a deployment and the first look, nobody can tell what a day brings.
    """
    found = []
    for last in range(1, len(reports) + 1):
        rows, days = 0, 0.0
        for report in reversed(reports[:last]):
            rows, days = rows + report.rows, days + report.days
            if days >= 1:
                break
        found.append(rows / max(days, 1.0))
    return found
