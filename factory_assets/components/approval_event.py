"""Tell Dagster what a person decided outside of a run, so that the page of `deploy` shows it."""

import dagster as dg

from factory_assets.components.metadata.approval import standing_checks
from factory_assets.execution.standing import standing
from factory_assets.results.base import result_as
from factory_assets.results.model import Champion
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.tracking.records import Records


def report_approval(pipeline: Pipeline, home: Home) -> None:
    """Report the checks `approval` and `rollout`, if declared, for the version exported last."""
    record = Records(home).latest(pipeline.name, "deploy")
    declared = pipeline.spec.deploy
    if record is None or not (declared.approval or declared.rollout):
        return
    prepare(home)
    value = result_as(Champion, record)
    now = standing(pipeline, record, home)
    with dg.DagsterInstance.get() as instance:
        for check in standing_checks(pipeline, value, now, home):
            instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    asset_key=dg.AssetKey([pipeline.name, "deploy"]),
                    check_name=str(check.check_name),
                    passed=check.passed,
                    metadata=check.metadata,
                    severity=check.severity,
                    description=check.description,
                )
            )
