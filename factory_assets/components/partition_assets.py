"""The assets `ingest` and `clean` of a pipeline in partitions, for the partitions of a run.

A backfill from the UI comes here.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

import dagster as dg

from factory_assets.components.calls import call_of
from factory_assets.components.looks import asset, looks
from factory_assets.components.metadata import broken_checks, check_specs, describe
from factory_assets.components.partitions import AT_ONCE, partitions_def, upstream_of
from factory_assets.components.told import checks_of_all, failure, materialization
from factory_assets.declarations.dependencies import upstream_keys
from factory_assets.execution.backfill import refresh
from factory_assets.execution.progress import Progress
from factory_assets.execution.requests import Call
from factory_assets.results.stages import Stage
from factory_assets.spec import Partition, Pipeline, partition_of
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home


def partitioned_asset(pipeline: Pipeline, stage: Stage) -> dg.AssetsDefinition:
    """`ingest` or `clean`, for the partitions of a run."""

    def _stage(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
    ) -> Iterator[Any]:
        call = call_of(pipeline, stage, context, home, progress)
        progress.started(pipeline.name, stage)
        chosen = [_partition(pipeline, key) for key in context.partition_keys]
        done = list(refresh(call, chosen, (stage,)))
        errors = {one.partition.key: one.error for one in done if one.error}
        good = [(one.call, one.outcome) for one in done if one.outcome]
        if errors:
            # Dagster tells of all partitions of a run or of none; of those that are done, we do.
            for own, outcome in good:
                context.log_event(materialization(own, outcome))
            yield from checks_of_all([broken_checks(call, error) for error in errors.values()])
            raise failed(call, errors, progress)
        described = [describe(own, outcome) for own, outcome in good]
        for (own, outcome), (metadata, _) in zip(good, described, strict=True):
            progress.finished(pipeline.name, stage, outcome)
            assert own.partition is not None
            context.add_asset_metadata(metadata, partition_key=own.partition.key)
        versions = [outcome.value.data_version for _, outcome in good]
        yield dg.MaterializeResult(
            check_results=checks_of_all([checks for _, checks in described]),
            # One for all partitions of a run, because Dagster knows no other way; each has its own
            # among its metadata.
            data_version=dg.DataVersion(together(versions)),
        )

    return asset(
        _stage,
        key=[pipeline.name, stage],
        deps=upstream_of(pipeline, stage) or upstream_keys(pipeline),
        partitions_def=partitions_def(pipeline),
        backfill_policy=dg.BackfillPolicy.multi_run(AT_ONCE),
        check_specs=check_specs(pipeline, stage),
        **looks(pipeline, stage),
    )


def _partition(pipeline: Pipeline, key: str) -> Partition:
    partition = partition_of(pipeline.spec.partitions, key)
    if partition is None:
        raise dg.Failure(f"{pipeline.name}: there is no partition {key!r}", allow_retries=False)
    return partition


def together(versions: Sequence[str]) -> str:
    """One data version of several."""
    return versions[0] if len(versions) == 1 else sha256("\n".join(versions).encode()).hexdigest()


def failed(call: Call, errors: Mapping[str, FactoryError], progress: Progress) -> dg.Failure:
    """How Dagster is told of errors, by the key of their partition."""
    error = failure(errors)
    progress.failed(call.pipeline.name, call.stage, error)
    made = dg.Failure(str(error), allow_retries=False)
    made.__cause__ = error
    return made
