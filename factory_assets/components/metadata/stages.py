"""Describe each stage's result for the Dagster UI: its metadata and its check results.

How texts and tables look belongs in `markdown` and `evaluation`.
"""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from factory_assets.components.metadata import evaluation, markdown
from factory_assets.components.metadata.approval import standing_checks
from factory_assets.components.metadata.checks import (
    check_result,
    table_results,
    warning_check,
)
from factory_assets.components.metadata.column_lineage import column_lineage
from factory_assets.data.contract.table_checks import checks_of_result
from factory_assets.data.leakage.policy import leak_check
from factory_assets.data.split_checks import split_checks
from factory_assets.execution.costs import CostTotal
from factory_assets.execution.ledger_state import ledger_entry
from factory_assets.execution.requests import StageRequest, StageRun
from factory_assets.execution.standing import standing
from factory_assets.execution.standing_text import standing_text
from factory_assets.results.data import CleanResult, IngestResult, SplitResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.latest import ResultQuery, latest_result
from factory_assets.results.model import Candidate, Champion
from factory_assets.spec.threshold import rule_text
from factory_resources.home.storage_faults import storage_faults
from factory_resources.tables.snapshot import Snapshot

Description = tuple[dict[str, Any], list[dg.AssetCheckResult]]


def describe(call: StageRequest, outcome: StageRun) -> Description:
    """Return the metadata and check results of a stage's result, reused or new."""
    value = outcome.value
    # What is shown is read here first: the stage itself may have been reused.
    with storage_faults(call.home):
        match value:
            case IngestResult():
                metadata, checks = _ingested(call, value)
            case CleanResult():
                metadata, checks = _cleaned(call, value)
            case SplitResult():
                metadata, checks = _parts(call, value)
            case Candidate():
                metadata, checks = _candidate(call, value)
            case EvaluationResult():
                metadata, checks = _verdict(call, value)
            case Champion():
                metadata, checks = _champion(call, value, outcome)
            case _:
                raise TypeError(f"no description of {type(value).__name__}")
    record = outcome.record
    metadata |= {
        "reused": outcome.reused,
        "computed by run": record.run_id,
        "computed at": record.finished,
        **ledger_entry(record, call.home),
        "energy is known by": record.method,
        "peak memory [MB]": round(record.megabytes),
        **costs("", CostTotal.of([record])),
        **(costs("saved ", CostTotal.of([record])) if outcome.reused else {}),
        **(costs("model version: ", outcome.version) if outcome.version else {}),
    }
    if record.cpu_seconds is not None:
        metadata["CPU seconds"] = round(record.cpu_seconds, 2)
    if record.grid is not None:
        metadata["grid [g CO2e/kWh]"] = record.grid
    return metadata, checks


def costs(prefix: str, total: CostTotal) -> dict[str, Any]:
    """Return the metadata of a cost total; carbon is left out if a part of it is unknown."""
    metadata = {
        f"{prefix}seconds": round(total.seconds, 2),
        f"{prefix}energy [Wh]": round(total.wh, 6),
    }
    if total.co2e is not None:
        metadata[f"{prefix}carbon [g CO2e]"] = round(total.co2e, 6)
    return metadata


def _table(
    call: StageRequest, snapshot: Snapshot, ingested: IngestResult | None = None
) -> dict[str, Any]:
    columns = [
        dg.TableColumn(name, kind, description=markdown.column(call.pipeline, name))
        for name, kind in snapshot.columns.items()
    ]
    return {
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/row_count": snapshot.rows,
        "dagster/uri": str(call.home.tables / snapshot.table),
        "data version": snapshot.data_version,
        "size [MB]": snapshot.bytes / 1e6,
        "preview": dg.MetadataValue.md(markdown.preview(call.pipeline, snapshot, call.home)),
        **column_lineage(call, snapshot, ingested),
    }


def _quarantine(
    call: StageRequest, quarantined: dict[str, int], snapshot: Snapshot | None
) -> dict[str, Any]:
    text = markdown.quarantine(call.pipeline, quarantined, snapshot, call.home)
    return {
        "quarantine": dg.MetadataValue.md(text),
        "rows quarantined": snapshot.rows if snapshot else 0,
    }


def _ingested(call: StageRequest, value: IngestResult) -> Description:
    limit = call.pipeline.spec.ingest.max_quarantine
    share = value.quarantined_rows / value.rows_read
    metadata = {
        **_table(call, value.snapshot, value),
        **_quarantine(call, value.quarantined, value.quarantine),
        "rows read": value.rows_read,
        "sources": dg.MetadataValue.md(markdown.sources(value.sources)),
        "columns not read": ", ".join(value.ignored_columns) or "none",
    }
    contract = call.pipeline.spec.ingest.contract
    if contract.unchecked:
        metadata["promised, not checked"] = dg.MetadataValue.md(markdown.points(contract.unchecked))
    rules = {f"broke {rule}": rows for rule, rows in value.quarantined.items()}
    check = check_result(call, "contract", share <= limit, share=share, limit=limit, **rules)
    of_table = checks_of_result(contract, value, datetime.now(UTC))
    return metadata, [check, *table_results(call, of_table)]


def _cleaned(call: StageRequest, value: CleanResult) -> Description:
    metadata = {
        **_table(call, value.snapshot),
        **_quarantine(call, value.quarantined, value.quarantine),
        "rows in": value.rows_in,
        "duplicates dropped": value.duplicates,
    }
    counts = {
        "rows in": value.rows_in,
        "clean": value.snapshot.rows,
        "quarantined": value.quarantined_rows,
        "duplicates": value.duplicates,
    }
    conserved = value.rows_in == value.snapshot.rows + value.quarantined_rows + value.duplicates
    return metadata, [check_result(call, "conservation", conserved, **counts)]


def _parts(call: StageRequest, value: SplitResult) -> Description:
    rows = {name: getattr(value, name).rows for name in ("train", "validation", "test")}
    metadata = {
        **_table(call, value.train),
        **{f"{name} rows": count for name, count in rows.items()},
        "dagster/row_count": sum(rows.values()),
        "preview": dg.MetadataValue.md(
            "Training rows:\n\n" + markdown.preview(call.pipeline, value.train, call.home)
        ),
    }
    clean = markdown.rows_before_split(call)
    adds_up = sum(rows.values()) == clean and all(rows.values())
    check = check_result(call, "no_overlap", adds_up, clean=clean, **rows)
    return metadata, [check, *table_results(call, split_checks(call.pipeline, value))]


def _candidate(call: StageRequest, value: Candidate) -> Description:
    metadata: dict[str, Any] = {
        "model version": f"{value.model} v{value.version}",
        "mlflow": dg.MetadataValue.md(markdown.mlflow_links(value)),
        "model": value.kind,
        "task": value.task,
        "training rows": value.rows,
        "digest": value.digest,
        "inputs": ", ".join(value.inputs),
        **{f"validation {name}": number for name, number in value.validation.items()},
    }
    if value.threshold is not None:
        rule = rule_text(call.pipeline.spec.decision_rule)
        metadata["threshold"] = f"{value.threshold:.3g} ({rule})"
    asset, checks = [call.pipeline.name, call.stage], []
    if value.regions:
        problems = [*value.regions.problems()]
        lines = (value.regions.text(), *problems)
        metadata["uncertainty"] = dg.MetadataValue.md(markdown.points(lines))
        checks.append(
            warning_check(
                asset, "uncertainty", not problems, "; ".join(problems) or value.regions.text()
            )
        )
    if call.pipeline.spec.training.budget:
        outcome = value.stopped.text if value.stopped else "the budget was not spent"
        metadata["budget"] = outcome
        checks.append(warning_check(asset, "budget", value.stopped is None, outcome))
    if value.history:
        metadata["loss curve"] = dg.MetadataValue.md(markdown.loss_curve(value, call.home))
        metadata["best epoch"] = value.best_epoch
    if value.halved:
        metadata["batches"] = "half as large as declared, because memory was short"
    if value.refit:
        metadata["refit"] = value.refit.text
    if value.portfolio:
        text = markdown.portfolio(value, value.portfolio, call.home)
        metadata["members"] = dg.MetadataValue.md(text)
    if value.tuned:
        metadata["search"] = dg.MetadataValue.md(markdown.search(value, value.tuned, call.home))
    parts = latest_result(ResultQuery(call.pipeline, "split", call.home, call.run_id))
    check = leak_check(call.pipeline, parts.leaks) if isinstance(parts, SplitResult) else None
    return metadata, [*checks, *table_results(call, [check] if check else [])]


def _verdict(call: StageRequest, value: EvaluationResult) -> Description:
    pictures = {
        title: dg.MetadataValue.md(
            markdown.picture(title, (call.home.pictures / path).read_bytes())
        )
        for title, path in value.pictures.items()
    }
    metadata = {
        **dict(value.metrics.items()),
        "result": dg.MetadataValue.md(evaluation.verdict(value)),
        **pictures,
        "slices": dg.MetadataValue.md(evaluation.slices(value)),
        **_optional_analyses(value),
        "mlflow": dg.MetadataValue.md(markdown.mlflow_links(value.candidate)),
        "test rows": value.predictions.rows,
    }
    checks = [
        check_result(
            call,
            f"gate_{gate.name}",
            gate.passed,
            value=gate.value,
            **({"bound": gate.bound} if gate.bound is not None else {}),
            explanation=gate.explanation,
        )
        for gate in value.gates
    ]
    return metadata, checks


def _optional_analyses(value: EvaluationResult) -> dict[str, Any]:
    """Return the analyses that the declaration requests."""
    undisturbed = value.metrics.get(value.headline, 0.0)
    texts = {
        "inputs that matter": value.importances and evaluation.importances(value.importances),
        "disturbed inputs": value.robustness
        and evaluation.robustness(value.robustness, value.headline, undisturbed),
        "fairness": value.groups and evaluation.fairness(value),
        "folds": value.folds and evaluation.folds(value.folds),
        "influence": value.influence and evaluation.influence(value.influence),
    }
    return {name: dg.MetadataValue.md(text) for name, text in texts.items() if text}


def _champion(call: StageRequest, value: Champion, outcome: StageRun) -> Description:
    deployed = standing(call.pipeline, outcome.record, call.home)
    metadata = {
        "model version": f"{value.model} v{value.version}",
        "status": standing_text(deployed, value.model, value.version, call.home),
        "replaced": f"v{value.replaced}" if value.replaced else "none",
        "onnx sha256": value.onnx_sha256,
        "mlflow": dg.MetadataValue.md(markdown.mlflow_links(value)),
        "largest difference": value.max_difference,
    }
    limit = call.pipeline.spec.deploy.max_difference
    check = check_result(
        call,
        "parity",
        value.max_difference <= limit,
        difference=value.max_difference,
        limit=limit,
        rows=value.compared_rows,
    )
    return metadata, [check, *standing_checks(call.pipeline, value, deployed, call.home)]
