"""The asset checks of each stage: their specs and their results.

Which checks there are belongs in `execution.stage_checks`, what is checked in the stages and in
`data`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from factory_assets.data.contract.table_checks import TableError
from factory_assets.data.leakage.policy import LeakError
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.stage_checks import declared_stage_checks
from factory_assets.results.checks import TableCheck
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_resources.errors import FactoryError
from factory_resources.narrow_names import narrow_name

_FOREIGN, _LONGEST = r"[^A-Za-z0-9_]", 200
"""Characters that Dagster does not allow in the name of a check."""


def check_specs(pipeline: Pipeline, stage: Stage) -> list[dg.AssetCheckSpec]:
    """Return the checks of a stage; all but warnings block later stages of the same run."""
    checks = declared_stage_checks(pipeline, stage)
    return [
        dg.AssetCheckSpec(
            _check_name(name), asset=[pipeline.name, stage], description=what, blocking=blocking
        )
        for name, (what, blocking) in checks.items()
    ]


def check_result(
    call: StageRequest, name: str, passed: bool, **metadata: Any
) -> dg.AssetCheckResult:
    key = [call.pipeline.name, call.stage]
    return dg.AssetCheckResult(
        check_name=_check_name(name), asset_key=key, passed=passed, metadata=metadata
    )


def warning_check(
    asset: list[str], name: str, passed: bool, says: str, **metadata: Any
) -> dg.AssetCheckResult:
    """Return the result of a check that warns and never fails a run."""
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=says,
        metadata=metadata,
    )


def _check_name(name: str) -> str:
    """Return the name in Dagster: that of a gate may contain a value of the data."""
    return narrow_name(name, _FOREIGN, _LONGEST)


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
