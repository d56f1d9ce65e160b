"""The asset check `approval` of `deploy`: whom a candidate waits for, or who decided and why."""

import dagster as dg

from factory_assets.components.metadata.markdown import mlflow_links
from factory_assets.execution.standing import Standing
from factory_assets.execution.standing_text import standing_text
from factory_assets.results.model import Champion
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home

CHECK = "approval"


def approval_check(
    pipeline: Pipeline, value: Champion, standing: Standing, home: Home
) -> dg.AssetCheckResult:
    """Return the check; while a person is waited for it warns, and never fails a run."""
    metadata: dict[str, dg.MetadataValue] = {
        "to be approved": dg.MetadataValue.md(
            f"{mlflow_links(value)}; metrics, slices and plots are on the page of `evaluate`"
        ),
        "evaluation": dg.MetadataValue.asset(dg.AssetKey([pipeline.name, "evaluate"])),
    }
    if standing.number is not None:
        metadata["ledger entry"] = dg.MetadataValue.text(str(standing.number))
    return dg.AssetCheckResult(
        check_name=CHECK,
        asset_key=[pipeline.name, "deploy"],
        passed=standing.status == "serves",
        severity=dg.AssetCheckSeverity.WARN,
        description=standing_text(standing, pipeline.name, value.version, home),
        metadata=metadata,
    )
