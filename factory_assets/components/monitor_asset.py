"""The asset that looks at a pipeline's answers, its job and schedule, and the sensor of retraining.

What a look does belongs in `monitoring`, what its page shows in `metadata.monitoring`; both are
imported by a look alone, so that other runs do not wait for them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import dagster as dg

from factory_assets.components.attributes import asset, shared_attributes
from factory_assets.components.run_context import step_failure
from factory_assets.execution.progress import Progress
from factory_assets.spec import Pipeline
from factory_assets.spec.watch import MONITOR
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from schedules.automation import schedule_for
from schedules.retraining import retraining_sensor

CHECK = "as_expected"


def monitor_defs(pipeline: Pipeline) -> dg.Definitions:
    """Return the asset `<pipeline>/monitor` and what starts it; nothing if nothing is watched."""
    watch = pipeline.spec.watch
    if watch is None:
        return dg.Definitions()
    watched = monitor_asset(pipeline)
    job = dg.define_asset_job(
        f"{pipeline.name}_{MONITOR}",
        dg.AssetSelection.assets(watched.key),
        description=f"Compares the answers of {pipeline.name} with its training rows.",
        executor_def=dg.in_process_executor,
    )
    look, retrain = watch.look, watch.retrain
    sensors = []
    if retrain:
        sensors.append(
            retraining_sensor(
                pipeline.name,
                reasons=_reasons(pipeline),
                at_most=retrain.at_most,
                after_contract="contract" in retrain.after,
                enabled=look.enabled,
            )
        )
    return dg.Definitions(
        assets=[watched],
        jobs=[job],
        schedules=[
            schedule_for(job.name, tags={}, needless=lambda: _needless(pipeline.name), **dict(look))
        ],
        sensors=sensors,
    )


def _needless(name: str) -> str:
    """Return why nobody need look: no version serves yet, or did before; else an empty text."""
    from factory_resources.tracking.registry import Registry

    with suppress(FactoryError):
        if Registry(Home.from_env()).champion(name) is None:
            return f"no version of {name} serves yet"
    # The look itself says what is wrong.
    return ""


def _reasons(pipeline: Pipeline) -> Callable[[], Mapping[str, str]]:
    """Return what returns the reasons to train; it remembers which outcomes it has counted."""

    @cache
    def reasons() -> Callable[[], Mapping[str, str]]:
        from factory_assets.monitoring.reasons import TrainingReasons

        return TrainingReasons(pipeline, Home.from_env())

    return lambda: reasons()()


def monitor_asset(pipeline: Pipeline) -> dg.AssetsDefinition:
    """Return the asset, whose body is one look."""
    name = pipeline.name

    def _monitor(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
    ) -> Iterator[Any]:
        from factory_assets.components.metadata.checks import warning_check
        from factory_assets.components.metadata.monitoring import describe_look
        from factory_assets.monitoring.watching import watch_once

        try:
            seen = watch_once(pipeline, home)
        except FactoryError as error:
            raise step_failure(context, error) from error
        for problem in seen.problems:
            context.log.warning(problem)
        report = seen.report
        text = "; ".join(f"{alarm.kind}: {alarm.what}" for alarm in report.alarms)
        yield dg.MaterializeResult(
            metadata=describe_look(pipeline, report, seen.problems, home),
            check_results=[
                warning_check([name, MONITOR], CHECK, not report.alarms, text or "no alarm")
            ],
        )

    what = "Compares what the champion answered since the last look with its training rows."
    return asset(
        _monitor,
        key=[name, MONITOR],
        deps=[dg.AssetKey([name, "deploy"])],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=[name, MONITOR],
                description="No alarm is open: drift, performance, volume, silence, age.",
            )
        ],
        kinds={"onnx"},
        **shared_attributes(pipeline, what),
    )
