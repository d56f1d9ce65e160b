"""The asset checks `approval` and `rollout` of `deploy`: whom a candidate waits for, or who decided
and why, and what became of it beside the champion."""

from collections.abc import Iterator

import dagster as dg

from factory_assets.components.metadata.checks import warning_check
from factory_assets.components.metadata.markdown import mlflow_links
from factory_assets.execution.standing import Standing
from factory_assets.execution.standing_text import standing_text
from factory_assets.results.model import Champion
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.ledger.rollout_entries import RolloutEnded

APPROVAL, ROLLOUT = "approval", "rollout"


def standing_checks(
    pipeline: Pipeline, value: Champion, standing: Standing, home: Home
) -> Iterator[dg.AssetCheckResult]:
    """Yield the checks that are declared; until the version serves they warn, and never fail a
    run."""
    text = standing_text(standing, pipeline.name, value.version, home)
    tried = standing.rollout is not None or isinstance(standing.act, RolloutEnded)
    if pipeline.spec.deploy.approval:
        yield _check(APPROVAL, value, standing, text, passed=tried or standing.status == "serves")
    if pipeline.spec.deploy.rollout:
        yield _check(ROLLOUT, value, standing, text, passed=not tried)


def _check(
    name: str, value: Champion, standing: Standing, text: str, *, passed: bool
) -> dg.AssetCheckResult:
    metadata: dict[str, dg.MetadataValue] = {
        "to be approved": dg.MetadataValue.md(
            f"{mlflow_links(value)}; metrics, slices and plots are on the page of `evaluate`"
        ),
        "evaluation": dg.MetadataValue.asset(dg.AssetKey([value.model, "evaluate"])),
    }
    if standing.number is not None:
        metadata["ledger entry"] = dg.MetadataValue.text(str(standing.number))
    return warning_check([value.model, "deploy"], name, passed, text, **metadata)
