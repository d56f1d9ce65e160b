"""What Dagster is told of partitions: each its own materialisation, and the checks of all."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from factory_assets.components.metadata import costs, describe
from factory_assets.execution.cache_key import asset_code_version
from factory_assets.execution.costs import Total
from factory_assets.execution.requests import Call, Outcome
from factory_assets.spec import Partition
from factory_resources.errors import FactoryError


def key_of(partition: Partition) -> str:
    """The key as Dagster has it."""
    keys = dict(partition.keys)
    return dg.MultiPartitionKey(keys) if len(keys) > 1 else partition.key


def materialization(call: Call, outcome: Outcome) -> dg.AssetMaterialization:
    """The event of one stage of one partition, with its own data version."""
    metadata, _ = describe(call, outcome)
    assert call.partition is not None
    keys = call.partition.keys
    return dg.AssetMaterialization(
        asset_key=dg.AssetKey([call.pipeline.name, call.stage]),
        partition=key_of(call.partition),
        metadata=metadata,
        tags={
            # As Dagster itself would write them.
            "dagster/code_version": asset_code_version(call.pipeline, call.stage),
            "dagster/data_version": outcome.record.data_version,
            "dagster/data_version_is_user_provided": "true",
            **({f"dagster/partition/{n}": key for n, key in keys.items()} if len(keys) > 1 else {}),
        },
    )


def checks_of_all(results: Sequence[Sequence[dg.AssetCheckResult]]) -> list[dg.AssetCheckResult]:
    """The checks of several partitions of one asset, each as one."""
    by_name: dict[str | None, list[dg.AssetCheckResult]] = {}
    for own in results:
        for result in own:
            by_name.setdefault(result.check_name, []).append(result)
    return [same[0] if len(same) == 1 else _one(name, same) for name, same in by_name.items()]


def _one(name: str | None, results: Sequence[dg.AssetCheckResult]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=results[0].asset_key,
        passed=all(result.passed for result in results),
        severity=max((r.severity for r in results), key=lambda s: s == dg.AssetCheckSeverity.ERROR),
        metadata={"partitions": len(results)},
    )


def failure(errors: Mapping[str, FactoryError]) -> FactoryError:
    """One error for the partitions that failed, by key: the first, and which others."""
    (key, first), *others = errors.items()
    if key:
        first.where = f"partition {key}: {first.where}" if first.where else f"partition {key}"
    if others:
        shown = ", ".join(other for other, _ in others[:5]) + ", …" * (len(others) > 5)
        first.what += f" ({len(others)} more failed: {shown})"
    return first


def totals(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Metadata of what a run computed and what it reused."""
    made = [outcome.record for outcome in outcomes if not outcome.reused]
    kept = [outcome.record for outcome in outcomes if outcome.reused]
    return {
        "reused": not made,
        "computed": len(made),
        "kept": len(kept),
        **costs("", Total.of(made)),
        **costs("saved ", Total.of(kept)),
    }
