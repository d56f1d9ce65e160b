"""`factory run` and the demo.

Materialise pipelines in this process, with progress and a table at the end.
"""

import gc
import os
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from rich.console import Console

from factory_assets.commands.dead_runs import PROCESS_TAG, end_dead_runs
from factory_assets.commands.select import select
from factory_assets.components.model_pipeline import REUSE_TAG
from factory_assets.components.progress import Progress
from factory_assets.definitions import build_defs
from factory_assets.report import Summary, summary_table
from factory_assets.spec import Pipeline
from factory_assets.stages.latest import latest, records_of
from factory_assets.stages.runner import Outcome, stages_of
from factory_assets.stages.values import STAGES, Stage, Value, Verdict
from factory_resources.errors import DeclarationError, FactoryError, RefusedError
from factory_resources.home import Home
from factory_resources.instance import prepare
from factory_resources.registry_run import process_identity

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Listener(Progress):
    """Follows one run on the terminal and remembers what became of each stage."""

    console: Console
    status: Any
    outcomes: dict[Stage, Outcome] = field(default_factory=dict)
    error: FactoryError | None = None

    def started(self, pipeline: str, stage: Stage) -> None:
        self.status.update(f"{pipeline} · {stage}")

    def step(self, message: str) -> None:
        self.status.update(message)

    def finished(self, pipeline: str, stage: Stage, outcome: Outcome) -> None:
        self.outcomes[stage] = outcome
        how = "reused" if outcome.reused else f"{outcome.record.seconds:.1f} s"
        self.console.print(f"{pipeline} · {stage:<8}  {how}", highlight=False)

    def failed(self, pipeline: str, stage: Stage, error: FactoryError) -> None:
        self.error = error


def run(
    names: Sequence[str], *, stages: Sequence[str] = (), reuse: bool = True, console: Console
) -> None:
    """Materialise the named pipelines (all where none is named) and print the table.

    Raises:
        FactoryError: the first that stopped a pipeline, after the others have run.
    """
    pipelines = select(names)
    _require_stages(stages)
    home = Home.from_env()
    prepare(home)
    summaries, errors = [], []
    with dg.DagsterInstance.get() as instance:
        end_dead_runs(instance)
        for pipeline in pipelines:
            summary, error = _run_one(
                pipeline, _wanted(pipeline, stages), reuse, home, instance, console
            )
            summaries.append(summary)
            errors += [error] if error else []
    console.print(summary_table(summaries))
    if errors:
        for error in errors[1:]:
            console.print(str(error), style="red", markup=False)
        raise errors[0]


def _require_stages(names: Sequence[str]) -> None:
    for name in names:
        if name not in STAGES:
            raise DeclarationError(
                f"no stage {name!r}", remedy=f"the stages are {', '.join(STAGES)}"
            )


def _wanted(pipeline: Pipeline, names: Sequence[str]) -> tuple[Stage, ...]:
    return tuple(stage for stage in stages_of(pipeline) if not names or stage in names)


def _run_one(
    pipeline: Pipeline,
    stages: tuple[Stage, ...],
    reuse: bool,
    home: Home,
    instance: dg.DagsterInstance,
    console: Console,
) -> tuple[Summary, FactoryError | None]:
    started = time.perf_counter()
    with console.status(pipeline.name) as status:
        listener = Listener(console, status)
        result = _execute(pipeline, stages, reuse, home, instance, listener)
    summary = _summary(pipeline, home, listener, time.perf_counter() - started)
    if result.success:
        return summary, None
    return summary, listener.error or _refusal(pipeline, listener, result)


def _execute(
    pipeline: Pipeline,
    stages: tuple[Stage, ...],
    reuse: bool,
    home: Home,
    instance: dg.DagsterInstance,
    listener: Listener,
) -> dg.ExecuteInProcessResult:
    overrides = {"home": home, "progress": listener}
    definitions = build_defs([pipeline.folder], resource_overrides=overrides)
    job = definitions.resolve_job_def(pipeline.name)
    # What is loaded by now stays; collections during the stages need not look through it again.
    gc.freeze()
    return job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey([pipeline.name, stage]) for stage in stages],
        tags={REUSE_TAG: str(reuse).lower(), PROCESS_TAG: process_identity(os.getpid())},
        run_config=_QUIET,
        raise_on_error=False,
    )


def _refusal(
    pipeline: Pipeline, listener: Listener, result: dg.ExecuteInProcessResult
) -> RefusedError:
    judged = listener.outcomes.get("evaluate")
    if judged and isinstance(judged.value, Verdict) and not judged.value.passed:
        failed = [gate.explanation for gate in judged.value.gates if not gate.passed]
        return RefusedError(
            f"the candidate v{judged.value.candidate.version} is not deployed: {'; '.join(failed)}",
            where=pipeline.name,
            remedy="look at the evaluate asset in the UI; the champion stays as it was",
        )
    failures = [event for event in result.all_events if event.is_step_failure]
    kinds = {f.step_failure_data.error.cls_name for f in failures if f.step_failure_data.error}
    if kinds & {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}:
        raise KeyboardInterrupt
    # Not a person's mistake: whoever mends it needs to see where it happened.
    raise RuntimeError(
        "\n".join(str(event.step_failure_data.error) for event in failures)
        or f"run {result.run_id} of {pipeline.name} failed"
    )


def _summary(pipeline: Pipeline, home: Home, listener: Listener, seconds: float) -> Summary:
    values: dict[Stage, Value] = {}
    for stage in stages_of(pipeline):
        if outcome := listener.outcomes.get(stage):
            values[stage] = outcome.value
        elif listener.error is None and records_of(pipeline, stage, home):
            values[stage] = latest(pipeline, stage, home)
    return Summary.from_values(
        pipeline.name,
        values,
        seconds=seconds,
        megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        reused=sum(outcome.reused for outcome in listener.outcomes.values()),
    )
