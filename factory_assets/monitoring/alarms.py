"""Which alarms a look raises. Who is told of them belongs in `alerts`."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from factory_assets.monitoring.report import Alarm, MonitorReport, RealPerformance, ReportedChange
from factory_assets.results.metric_text import metric_text
from factory_assets.spec import Pipeline
from factory_assets.spec.deploy import days_of
from factory_assets.spec.watch import Watching
from factory_resources.durations import seconds_of

_NAMED = 3
"""Findings that are named in an alarm."""


def drift_alarm(
    pipeline: Pipeline, watch: Watching, findings: Sequence[ReportedChange]
) -> Iterator[Alarm]:
    """Yield the alarm of drift: findings that are certain enough, and large enough."""
    certain = [
        one for one in findings if one.evidence >= watch.period and one.effect >= watch.effect
    ]
    if certain:
        named = "; ".join(_named(one) for one in certain[:_NAMED])
        more = f"; and {len(certain) - _NAMED} more" if len(certain) > _NAMED else ""
        yield Alarm(
            kind="drift",
            what=named + more,
            remedy="train again with newer rows: "
            f"factory run {pipeline.name}; or accept what is new: factory monitor {pipeline.name} "
            "--accept --reason ...",
        )


def _named(finding: ReportedChange) -> str:
    subject = {
        "values": finding.column,
        "missing": finding.column,
        "outputs": f"the output {finding.column}",
        "joint": "how columns occur together",
    }[finding.what]
    return f"{subject}: {finding.words}, for {finding.effect:.0%} of the rows"


def performance_alarm(pipeline: Pipeline, real: RealPerformance | None) -> Iterator[Alarm]:
    """Yield the alarm that the answers whose outcomes are known are worse than the test rows."""
    if real is None or not real.is_worse:
        return
    measured = "; ".join(
        f"{name} {metric_text(one.value)}"
        + ("" if one.tested is None else f", on test rows {metric_text(one.tested)}")
        for name, one in real.metrics.items()
    )
    yield Alarm(
        kind="performance",
        what=f"worse on {real.labelled:,} answers with outcomes than on the test rows"
        + (f": {measured}" if measured else ""),
        remedy=f"train again with newer rows: factory run {pipeline.name}",
    )


def volume_alarm(
    pipeline: Pipeline, watch: Watching, reports: Iterable[MonitorReport], rows: int, days: float
) -> Iterator[Alarm]:
    """Yield the alarm of too few or too many rows, as soon as a day was seen.

    Args:
        reports: the looks before, the newest first.
        rows: of this look.
        days: in which it served since the look before.
    """
    volume = watch.volume
    if volume is None:
        return
    for report in reports:
        if days >= 1:
            break
        rows, days = rows + report.rows, days + report.days
    if days < 1:
        return
    rate = rows / days
    bound = None
    if rate < volume.at_least:
        bound = f"fewer than {volume.at_least:,}"
    elif volume.at_most is not None and rate > volume.at_most:
        bound = f"more than {volume.at_most:,}"
    if bound:
        yield Alarm(
            kind="volume",
            what=f"{rate:,.0f} rows a day, {bound}",
            remedy=f"ask who calls {pipeline.name}, or change watch.volume",
        )


def silence_alarm(
    pipeline: Pipeline, watch: Watching, last: datetime, served: timedelta
) -> Iterator[Alarm]:
    """Yield the alarm that nobody asked for long.

    Args:
        last: when somebody asked last, or when the version began to serve if that is later.
        served: for how long it has served since then.
    """
    if watch.silence and served > timedelta(seconds=seconds_of(watch.silence)):
        yield Alarm(
            kind="silence",
            what=f"no answer since {last:%Y-%m-%d %H:%M} UTC, for longer than {watch.silence}",
            remedy=f"ask whether the server runs (factory serve) and who calls {pipeline.name}",
        )


def age_alarm(
    pipeline: Pipeline, watch: Watching, exported: datetime, now: datetime
) -> Iterator[Alarm]:
    """Yield the alarm that the champion is old."""
    if watch.age and now - exported > timedelta(days=days_of(watch.age)):
        yield Alarm(
            kind="age",
            what=f"the champion was exported on {exported:%Y-%m-%d}, longer ago than {watch.age}",
            remedy=f"train again: factory run {pipeline.name}",
        )
