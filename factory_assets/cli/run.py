"""`factory run` and the demo.

Materialise pipelines in this process, with progress and a table at the end.

`make demo`: every shipped pipeline, one table, and where to go from there.
"""

import gc
import os
import resource
import time
from collections.abc import Sequence
from typing import Any

import dagster as dg
from rich.console import Console

from factory_assets.cli.progress import Listener
from factory_assets.cli.shared import PROCESS_TAG, RunRequest, ask, end_dead_runs
from factory_assets.cli.summary import Summary, summary_table
from factory_assets.components.partitions import PARTITIONS
from factory_assets.components.run_context import REUSE_TAG
from factory_assets.declarations.loader import DEFS
from factory_assets.definitions import build_defs
from factory_assets.execution.requests import stages_of
from factory_assets.results.base import StageResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.latest import PARTITIONED, records_of, value_of
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_resources.errors import FactoryError, RefusedError
from factory_resources.home.home import Home
from factory_resources.home.processes import process_identity
from factory_resources.instance import prepare

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run(
    names: Sequence[str],
    *,
    stages: Sequence[str] = (),
    partitions: Sequence[str] = (),
    reuse: bool = True,
    console: Console,
) -> None:
    """Materialise the named pipelines (all where none is named) and print the table.

    Args:
        stages: only these.
        partitions: only these, by key; without them all partitions that have data.

    Raises:
        FactoryError: the first that stopped a pipeline, after the others have run.
    """
    asked = ask(names, stages, partitions, reuse)
    home = Home.from_env()
    prepare(home)
    summaries, errors = [], []
    with dg.DagsterInstance.get() as instance:
        end_dead_runs(instance)
        for one in asked:
            summary, error = _run_one(one, home, instance, console)
            summaries.append(summary)
            errors += [error] if error else []
    console.print(summary_table(summaries))
    if errors:
        for error in errors[1:]:
            console.print(str(error), style="red", markup=False)
        raise errors[0]


def _run_one(
    asked: RunRequest, home: Home, instance: dg.DagsterInstance, console: Console
) -> tuple[Summary, FactoryError | None]:
    started = time.perf_counter()
    with console.status(asked.pipeline.name) as status:
        listener = Listener(console, status)
        result = _execute(asked, home, instance, listener)
    summary = _summary(asked.pipeline, home, listener, time.perf_counter() - started)
    if result.success:
        return summary, None
    return summary, listener.error or _refusal(asked.pipeline, listener, result)


def _execute(
    asked: RunRequest, home: Home, instance: dg.DagsterInstance, listener: Listener
) -> dg.ExecuteInProcessResult:
    name = asked.pipeline.name
    overrides = {"home": home, "progress": listener}
    definitions = build_defs([asked.pipeline.folder], resource_overrides=overrides)
    job = definitions.resolve_job_def(name)
    # What is loaded by now stays; collections during the stages need not look through it again.
    gc.freeze()
    return job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey([name, last]) for last in _assets(asked)],
        tags={
            REUSE_TAG: str(asked.reuse).lower(),
            PROCESS_TAG: process_identity(os.getpid()),
            # Whoever typed the command repeats it; the daemon could not.
            "dagster/max_retries": "0",
        },
        run_config=_QUIET | _chosen(asked),
        raise_on_error=False,
    )


def _assets(asked: RunRequest) -> list[str]:
    """The last parts of the keys of the assets that run."""
    if not asked.pipeline.spec.partitions:
        return [*asked.stages]
    by_partition = [PARTITIONS] * any(stage in PARTITIONED for stage in asked.stages)
    return [*by_partition, *(stage for stage in asked.stages if stage not in PARTITIONED)]


def _chosen(asked: RunRequest) -> dict[str, Any]:
    """Run configuration: which partitions, and how far."""
    stages = [stage for stage in asked.stages if stage in PARTITIONED]
    if not asked.pipeline.spec.partitions or not stages:
        return {}
    chosen = {"keys": [*asked.partitions], "stages": stages}
    return {"ops": {f"{asked.pipeline.name}__{PARTITIONS}": {"config": chosen}}}


def _refusal(
    pipeline: Pipeline, listener: Listener, result: dg.ExecuteInProcessResult
) -> RefusedError:
    judged = listener.outcomes.get("evaluate")
    if judged and isinstance(judged.value, EvaluationResult) and not judged.value.passed:
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
    values: dict[Stage, StageResult] = {}
    for stage in stages_of(pipeline):
        if outcome := listener.outcomes.get(stage):
            values[stage] = outcome.value
        elif listener.error is None and (records := records_of(pipeline, stage, home)):
            values[stage] = value_of(records)
    return Summary.from_values(
        pipeline.name,
        values,
        seconds=seconds,
        megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        reused=listener.reused,
        made=listener.made,
        saved=listener.saved,
    )


_NEXT = """
Next:
  make up                                          the UI on http://127.0.0.1:3000
  factory predict machine_failure FILE             score a file with the champion
  factory new NAME --from data.csv --target y      your own pipeline
(the factory command is in .venv/bin)"""


def demo(console: Console) -> None:
    """Run the pipelines that ship with the factory."""
    run(sorted(file.parent.name for file in DEFS.glob("*/defs.yaml")), console=console)
    console.print(_NEXT, highlight=False)
