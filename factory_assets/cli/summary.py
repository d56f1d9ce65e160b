"""The summary table at the end of `factory run`. It computes nothing and does not use Dagster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.execution.costs import CostTotal
from factory_assets.results.base import StageResult
from factory_assets.results.data import CleanResult, IngestResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.metric_text import interval_text, metric_text
from factory_assets.results.model import Candidate, Champion
from factory_assets.results.stages import Stage
from factory_resources.metering.si_prefix import si_prefixed

if TYPE_CHECKING:
    from rich.table import Table


NOTHING = "-"

NO_COST = CostTotal()

_PASSED = len("9/9 passed")

_OTHERS = 28 + _PASSED
"""The width that the pipeline, the gates, the cost and what is between columns need."""


@dataclass(frozen=True)
class Summary:
    """The table row of one pipeline; a value is None if the run did not get that far."""

    pipeline: str
    rows_in: int | None
    rows_clean: int | None
    rows_quarantined: int | None
    """Quarantined by the contract or by the rules of `clean`."""
    duplicates: int | None
    metric: str | None
    """The name of the primary metric."""
    value: float | None
    interval: tuple[float, float] | None
    """The 95 % interval of the primary metric, by bootstrap."""
    linear: float | None
    """The primary metric of the linear baseline."""
    at_half: float | None
    """The primary metric if two classes were decided at .5; None if the threshold plays no role."""
    below_majority: bool
    """Whether always predicting the most frequent class would be right more often."""
    may_be_chance: bool
    """Whether chance may explain why the model is better than a constant guess."""
    folds: tuple[int, float, float] | None
    """The number of folds, and the mean and standard deviation of the primary metric over them."""
    gates: str
    """`3/3 passed`, or which gates failed."""
    model: str
    """The version and its status, such as `v3 champion`."""
    seconds: float
    megabytes: float
    """Peak resident memory of the process."""
    reused: int
    """The number of stages that computed nothing."""
    made: CostTotal
    """The cost of the computed stages."""
    saved: CostTotal
    """The former cost of the reused stages."""
    members: str | None = None
    """Which members of a portfolio the model consists of."""

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
        status: str = "champion",
    ) -> Summary:
        """Summarise the results of the stages; a missing stage leaves its values None.

        Args:
            status: what the deployed version is, such as `waits`.
        """
        ingest, clean = values.get("ingest"), values.get("clean")
        ingested = ingest if isinstance(ingest, IngestResult) else None
        cleaned = clean if isinstance(clean, CleanResult) else None
        evaluate = values.get("evaluate")
        evaluation = evaluate if isinstance(evaluate, EvaluationResult) else None
        quarantined = ingested.quarantined_rows if ingested else 0
        quarantined += cleaned.quarantined_rows if cleaned else 0
        return cls(
            pipeline=pipeline,
            rows_in=ingested.rows_read if ingested else None,
            rows_clean=cleaned.snapshot.rows if cleaned else None,
            rows_quarantined=quarantined if ingested or cleaned else None,
            duplicates=cleaned.duplicates if cleaned else None,
            metric=evaluation.headline if evaluation else None,
            value=evaluation.metrics.get(evaluation.headline) if evaluation else None,
            interval=evaluation.intervals.get(evaluation.headline) if evaluation else None,
            linear=_linear(evaluation),
            at_half=evaluation.at_half.get(evaluation.headline) if evaluation else None,
            below_majority=bool(evaluation and evaluation.majority_warning),
            may_be_chance=bool(evaluation and evaluation.chance_warning),
            folds=_folds(evaluation),
            gates=_gates(evaluation),
            model=_model(values.get("train"), evaluation, values.get("deploy"), status),
            seconds=seconds,
            megabytes=megabytes,
            reused=reused,
            made=made,
            saved=saved,
            members=_members(values.get("train")),
        )


def summary_table(rows: Sequence[Summary], width: int = 100) -> Table:
    """Return a table that fits this width and loses no information without colour."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD, show_lines=len(rows) > 1, pad_edge=False, padding=(0, 1, 0, 0)
    )
    fixed = sum(_widest(map(text, rows)) for text in (_rows, _primary_metric, _model_lines))
    # In less width, what does not wrap would be cut off and leave the other columns no room.
    whole = fixed + _OTHERS <= width
    few = _widest(row.gates for row in rows) <= _PASSED
    table.add_column("pipeline", overflow="fold")
    table.add_column("rows", justify="right", no_wrap=whole, overflow="fold")
    table.add_column("on test set", no_wrap=whole, overflow="fold")
    table.add_column("gates", no_wrap=whole and few, overflow="fold")
    table.add_column("model", no_wrap=whole, overflow="fold")
    table.add_column("cost", justify="right", overflow="fold")
    for row in rows:
        table.add_row(
            Text(row.pipeline, style="bold"),
            Text(_rows(row)),
            Text(_primary_metric(row)),
            Text(row.gates, style="red" if row.gates.startswith("failed") else ""),
            Text(_model_lines(row)),
            Text(_cost(row)),
        )
    return table


def _linear(evaluation: EvaluationResult | None) -> float | None:
    return evaluation.baselines.get("linear", {}).get(evaluation.headline) if evaluation else None


def _folds(evaluation: EvaluationResult | None) -> tuple[int, float, float] | None:
    folds = evaluation.folds if evaluation else None
    metric = folds.metrics.get(evaluation.headline) if evaluation and folds else None
    if folds is None or metric is None or metric.mean is None or metric.sd is None:
        return None
    return folds.count, metric.mean, metric.sd


def _gates(evaluation: EvaluationResult | None) -> str:
    if evaluation is None:
        return NOTHING
    if not evaluation.gates:
        return "none"
    failed = [gate for gate in evaluation.gates if not gate.passed]
    if not failed:
        return f"{len(evaluation.gates)}/{len(evaluation.gates)} passed"
    comparisons = (gate.name.removeprefix(f"{gate.metric}_") for gate in failed)
    words = (f"{g.metric} {c.replace('_', ' ')}" for g, c in zip(failed, comparisons, strict=True))
    return "\n".join(("failed:", *words))


def _model(
    trained: StageResult | None,
    evaluation: EvaluationResult | None,
    deployed: StageResult | None,
    status: str,
) -> str:
    candidate = evaluation.candidate if evaluation else trained
    if not isinstance(candidate, Candidate):
        return NOTHING
    if evaluation and not evaluation.passed:
        return f"v{candidate.version} refused"
    # The champion that was deployed last may be an earlier version than this candidate.
    is_deployed = isinstance(deployed, Champion) and deployed.version == candidate.version
    return f"v{candidate.version} {status if is_deployed else 'candidate'}"


def _members(trained: StageResult | None) -> str | None:
    portfolio = trained.portfolio if isinstance(trained, Candidate) else None
    return portfolio.text if portfolio else None


def _widest(texts: Iterable[str]) -> int:
    return max((len(line) for text in texts for line in text.splitlines()), default=0)


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


def _model_lines(row: Summary) -> str:
    return "\n".join(row.model.split())


def _primary_metric(row: Summary) -> str:
    if row.metric is None or row.value is None:
        return NOTHING
    baseline = f", linear {metric_text(row.linear)}" if row.linear is not None else ""
    interval = f"\n95%: {interval_text(*row.interval)}" if row.interval else ""
    folds = ""
    if row.folds:
        count, mean, sd = row.folds
        folds = f"\n{count} folds: {metric_text(mean)} ± {metric_text(sd)}"
    half = f"\nat .5: {metric_text(row.at_half)}" if row.at_half is not None else ""
    warning = "\n! accuracy below that of\n  always the majority" if row.below_majority else ""
    warning += "\n! not shown to be better\n  than a constant guess" if row.may_be_chance else ""
    return f"{row.metric}\n{metric_text(row.value)}{baseline}{half}{interval}{folds}{warning}"


def _cost(row: Summary) -> str:
    lines = [f"{row.seconds:.1f} s", f"{row.megabytes:,.0f} MB"]
    if row.made.wh:
        lines.append(si_prefixed(row.made.wh, "Wh"))
        lines += [si_prefixed(row.made.co2e, "g CO2e")] if row.made.co2e else []
    if row.reused:
        lines.append(f"{row.reused} reused")
        lines += [f"saved {si_prefixed(row.saved.wh, 'Wh')}"] if row.saved.wh else []
    return "\n".join(lines)
