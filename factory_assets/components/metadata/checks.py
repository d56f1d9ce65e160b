"""The asset checks of each stage: their specs and their results.

What is checked belongs in the stages and in `data`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from factory_assets.data.contract.table_checks import TableError, declared_checks
from factory_assets.data.leakage.policy import LeakError
from factory_assets.data.split_checks import declared_split_checks
from factory_assets.execution.requests import StageRequest
from factory_assets.results.checks import TableCheck
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_assets.spec.evaluate import CHAMPION_GATE
from factory_resources.errors import FactoryError


def check_specs(pipeline: Pipeline, stage: Stage) -> list[dg.AssetCheckSpec]:
    """Return the checks of a stage; all but warnings block later stages of the same run."""
    names = _CHECKS.get(stage, {})
    if stage == "evaluate":
        names = {
            f"gate_{g.name}": f"{g.metric} on the {'folds' if g.of == 'folds' else 'test rows'}"
            for g in pipeline.spec.evaluate.conditions
        }
        if pipeline.spec.evaluate.guards_champion:
            what = "the primary metric on the test rows, compared with the champion's; by default"
            names[f"gate_{CHAMPION_GATE}"] = what
    specs = {name: (what, True) for name, what in names.items()}
    if stage == "train" and pipeline.spec.training.budget:
        specs["budget"] = ("Training finished before its budget was spent.", False)
    if stage == "deploy" and pipeline.spec.deploy.approval:
        specs["approval"] = ("A person has approved the version that was exported.", False)
    if stage == "deploy" and pipeline.spec.deploy.rollout:
        specs["rollout"] = ("The version that was exported is not worse than the champion.", False)
    if stage == "ingest":
        specs |= declared_checks(pipeline.spec.ingest.contract)
    if stage == "split":
        specs |= declared_split_checks(pipeline)
    if stage == "train" and (action := pipeline.spec.training.leaks.action) != "off":
        specs["leaks"] = (
            "No input reveals the target, and test rows are unrelated to training rows.",
            action == "block",
        )
    return [
        dg.AssetCheckSpec(name, asset=[pipeline.name, stage], description=what, blocking=blocking)
        for name, (what, blocking) in specs.items()
    ]


_CHECKS: dict[Stage, dict[str, str]] = {
    "ingest": {"contract": "The share of rows that break the contract is within its limit."},
    "clean": {"conservation": "Every row is clean, in quarantine, or counted as a duplicate."},
    "split": {"no_overlap": "The parts add up to the clean rows, and none is empty."},
    "deploy": {"parity": "The exported model predicts the same as the trained one."},
}


def check_result(
    call: StageRequest, name: str, passed: bool, **metadata: Any
) -> dg.AssetCheckResult:
    key = [call.pipeline.name, call.stage]
    return dg.AssetCheckResult(check_name=name, asset_key=key, passed=passed, metadata=metadata)


def checks_of_error(call: StageRequest, error: FactoryError) -> list[dg.AssetCheckResult]:
    """Return the check results that an error carries: those of the data that was refused."""
    if isinstance(error, TableError | LeakError):
        return list(table_results(call, error.checks))
    return []


def table_results(
    call: StageRequest, checks: Iterable[TableCheck]
) -> Iterator[dg.AssetCheckResult]:
    for check in checks:
        severity = dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN
        yield dg.AssetCheckResult(
            check_name=check.name,
            asset_key=[call.pipeline.name, call.stage],
            passed=check.passed,
            severity=severity,
            description=check.says if check.passed else f"{check.says}; {check.remedy}",
            metadata=check.numbers,
        )
