"""What became of the pipelines, as one table for a terminal. Computes nothing, knows no Dagster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.execution.costs import CostTotal
from factory_assets.results.base import StageResult
from factory_assets.results.data import CleanResult, IngestResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate, Champion
from factory_assets.results.stages import Stage

if TYPE_CHECKING:
    from rich.table import Table


NOTHING = "-"

NO_COST = CostTotal()


@dataclass(frozen=True)
class Summary:
    """One pipeline's line; None where its run did not come that far."""

    pipeline: str
    rows_in: int | None
    rows_clean: int | None
    rows_quarantined: int | None
    """By the contract and by the rules of `clean`."""
    duplicates: int | None
    metric: str | None
    """The headline's name."""
    value: float | None
    interval: tuple[float, float] | None
    """95 %, by bootstrap."""
    linear: float | None
    """The headline of the linear baseline."""
    folds: tuple[int, float, float] | None
    """How many folds there were, and the headline's mean and standard deviation over them."""
    gates: str
    """`3/3 passed`, or which failed."""
    model: str
    """The version and what became of it, as in `v3 champion`."""
    seconds: float
    megabytes: float
    """Peak resident memory of the process."""
    reused: int
    """How many stages were not computed again."""
    made: CostTotal
    """What the computed stages have cost."""
    saved: CostTotal
    """What the reused stages had cost."""

    @classmethod
    def from_values(
        cls,
        pipeline: str,
        values: Mapping[Stage, StageResult],
        *,
        seconds: float,
        megabytes: float,
        reused: int,
        made: CostTotal = NO_COST,
        saved: CostTotal = NO_COST,
    ) -> Summary:
        """Sum up the values of the stages that there are."""
        ingested, cleaned = values.get("ingest"), values.get("clean")
        read = ingested if isinstance(ingested, IngestResult) else None
        clean = cleaned if isinstance(cleaned, CleanResult) else None
        judged = values.get("evaluate")
        verdict = judged if isinstance(judged, EvaluationResult) else None
        refused = (read.quarantined_rows if read else 0) + (clean.quarantined_rows if clean else 0)
        return cls(
            pipeline=pipeline,
            rows_in=read.rows_read if read else None,
            rows_clean=clean.snapshot.rows if clean else None,
            rows_quarantined=refused if read or clean else None,
            duplicates=clean.duplicates if clean else None,
            metric=verdict.headline if verdict else None,
            value=verdict.metrics.get(verdict.headline) if verdict else None,
            interval=verdict.intervals.get(verdict.headline) if verdict else None,
            linear=_linear(verdict),
            folds=_folds(verdict),
            gates=_gates(verdict),
            model=_model(values.get("train"), verdict, values.get("deploy")),
            seconds=seconds,
            megabytes=megabytes,
            reused=reused,
            made=made,
            saved=saved,
        )


def summary_table(rows: Sequence[Summary]) -> Table:
    """A table that fits 100 columns; without colour it says the same."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD, show_lines=len(rows) > 1, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("pipeline", overflow="fold")
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("on test rows", no_wrap=True)
    table.add_column("gates", overflow="fold", min_width=10)
    table.add_column("model", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            Text(row.pipeline, style="bold"),
            Text(_rows(row)),
            Text(_primary_metric(row)),
            Text(row.gates, style="red" if row.gates.startswith("failed") else ""),
            Text("\n".join(row.model.split())),
            Text(_cost(row)),
        )
    return table


def _linear(verdict: EvaluationResult | None) -> float | None:
    return verdict.baselines.get("linear", {}).get(verdict.headline) if verdict else None


def _folds(verdict: EvaluationResult | None) -> tuple[int, float, float] | None:
    folds = verdict.folds if verdict else None
    found = folds.metrics.get(verdict.headline) if verdict and folds else None
    if folds is None or found is None or found.mean is None or found.sd is None:
        return None
    return folds.count, found.mean, found.sd


def _gates(verdict: EvaluationResult | None) -> str:
    if verdict is None:
        return NOTHING
    if not verdict.gates:
        return "none"
    failed = [gate for gate in verdict.gates if not gate.passed]
    if not failed:
        return f"{len(verdict.gates)}/{len(verdict.gates)} passed"
    comparisons = (gate.name.removeprefix(f"{gate.metric}_") for gate in failed)
    words = (f"{g.metric} {c.replace('_', ' ')}" for g, c in zip(failed, comparisons, strict=True))
    return "\n".join(("failed:", *words))


def _model(
    trained: StageResult | None, verdict: EvaluationResult | None, deployed: StageResult | None
) -> str:
    candidate = verdict.candidate if verdict else trained
    if not isinstance(candidate, Candidate):
        return NOTHING
    if verdict and not verdict.passed:
        return f"v{candidate.version} refused"
    # The latest champion may still be an earlier version.
    serves = isinstance(deployed, Champion) and deployed.version == candidate.version
    return f"v{candidate.version} {'champion' if serves else 'candidate'}"


def _rows(row: Summary) -> str:
    if row.rows_in is None:
        return NOTHING
    counts = {
        "in": row.rows_in,
        "clean": row.rows_clean,
        "quarantined": row.rows_quarantined,
        "duplicates": row.duplicates or None,
    }
    return "\n".join(f"{count:,} {what}" for what, count in counts.items() if count is not None)


def _primary_metric(row: Summary) -> str:
    if row.metric is None or row.value is None:
        return NOTHING
    baseline = f", linear {row.linear:.3f}" if row.linear is not None else ""
    interval = f"\n95%: {row.interval[0]:.3f} to {row.interval[1]:.3f}" if row.interval else ""
    folds = "\n{} folds: {:.3f} ± {:.3f}".format(*row.folds) if row.folds else ""
    return f"{row.metric}\n{row.value:.3f}{baseline}{interval}{folds}"


def _cost(row: Summary) -> str:
    lines = [f"{row.seconds:.1f} s", f"{row.megabytes:,.0f} MB"]
    if row.made.wh:
        lines.append(_amount(row.made.wh, "Wh"))
        lines += [_amount(row.made.co2e, "g CO2e")] if row.made.co2e else []
    if row.reused:
        lines.append(f"{row.reused} reused")
        lines += [f"saved {_amount(row.saved.wh, 'Wh')}"] if row.saved.wh else []
    return "\n".join(lines)


def _amount(value: float, unit: str) -> str:
    """Three digits, with the prefix that suits them."""
    prefixes = {"k": 1e3, "": 1.0, "m": 1e-3, "µ": 1e-6}
    prefix = next((p for p, factor in prefixes.items() if value >= factor), "µ")
    return f"{value / prefixes[prefix]:.3g} {prefix}{unit}"
