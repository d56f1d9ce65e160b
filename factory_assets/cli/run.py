"""`factory run` and `factory demo`: run pipelines in this process, then print a summary table.

How a stage is computed or reused belongs in `factory_assets.execution`; the table in `summary`.
"""

import gc
import os
import resource
import time
from typing import Any

import dagster as dg
from rich.console import Console

from factory_assets.cli.check.user_objects import with_line
from factory_assets.cli.faults import unexpected
from factory_assets.cli.progress import TerminalProgress
from factory_assets.cli.shared import (
    PROCESS_TAG,
    RunRequest,
    RunSelection,
    end_dead_runs,
    raise_worst,
    run_requests,
)
from factory_assets.cli.summary import Summary, summary_table
from factory_assets.components.model_pipeline import build_pipeline
from factory_assets.components.partitions import PARTITIONS
from factory_assets.components.run_context import REHASH_TAG, REUSE_TAG
from factory_assets.declarations.loader import DEFS
from factory_assets.definitions import merge_defs
from factory_assets.execution.requests import stages_of
from factory_assets.results.base import StageResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.latest import PARTITIONED, ResultQuery, records_of, value_of
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_resources.errors import DeclarationError, FactoryError, RefusedError
from factory_resources.home.home import Home
from factory_resources.home.processes import process_identity
from factory_resources.instance import prepare

StageValues = dict[Stage, StageResult]

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run(selection: RunSelection, console: Console) -> None:
    """Run the selected pipelines; print progress and the summary table to the console.

    Raises:
        FactoryError: the worst that stopped a pipeline, after the other pipelines have run.
    """
    requests, errors = run_requests(selection)
    home = Home.from_env()
    prepare(home)
    summaries = []
    with dg.DagsterInstance.get() as instance:
        end_dead_runs(instance)
        for request in requests:
            summary, error = _run_one(request, home, instance, console)
            summaries.append(summary)
            errors += [error] if error else []
    console.print(summary_table(summaries))
    raise_worst(errors, console)


def _run_one(
    request: RunRequest, home: Home, instance: dg.DagsterInstance, console: Console
) -> tuple[Summary, FactoryError | None]:
    """Run one pipeline; return its summary, and the error that stopped it."""
    pipeline, started = request.pipeline, time.perf_counter()
    with console.status(pipeline.name) as status:
        listener = TerminalProgress(console, status)
        try:
            result = _execute(request, home, instance, listener)
            if not result.success:
                listener.error = listener.error or _error(pipeline, listener, result, home)
            stored = _stored(pipeline, home, listener)
        except FactoryError as error:
            listener.error, stored = error, {}
        except Exception as error:  # noqa: BLE001
            listener.error, stored = unexpected(error, home, pipeline.name), {}
    if isinstance(listener.error, DeclarationError):
        listener.error = with_line(listener.error, pipeline)
    return _summary(pipeline, stored, listener, time.perf_counter() - started), listener.error


def _execute(
    request: RunRequest, home: Home, instance: dg.DagsterInstance, listener: TerminalProgress
) -> dg.ExecuteInProcessResult:
    name = request.pipeline.name
    overrides = {"home": home, "progress": listener}
    definitions = merge_defs([build_pipeline(request.pipeline)], resource_overrides=overrides)
    job = definitions.resolve_job_def(name)
    # The objects loaded so far live as long as the process; the collector can skip them.
    gc.freeze()
    return job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey([name, last]) for last in _assets(request)],
        tags={
            REUSE_TAG: str(request.reuse).lower(),
            **({REHASH_TAG: "all"} if request.rehash else {}),
            PROCESS_TAG: process_identity(os.getpid()),
            # The daemon cannot retry a run of this process; the user repeats the command.
            "dagster/max_retries": "0",
        },
        run_config=_QUIET | _partition_config(request),
        raise_on_error=False,
    )


def _assets(request: RunRequest) -> list[str]:
    """Return the last parts of the keys of the assets to run."""
    if not request.pipeline.spec.partitions:
        return [*request.stages]
    by_partition = [PARTITIONS] * any(stage in PARTITIONED for stage in request.stages)
    return [*by_partition, *(stage for stage in request.stages if stage not in PARTITIONED)]


def _partition_config(request: RunRequest) -> dict[str, Any]:
    """Return the run configuration with the requested partitions and their stages."""
    stages = [stage for stage in request.stages if stage in PARTITIONED]
    if not request.pipeline.spec.partitions or not stages:
        return {}
    config = {"keys": [*request.partitions], "stages": stages}
    return {"ops": {f"{request.pipeline.name}__{PARTITIONS}": {"config": config}}}


def _error(
    pipeline: Pipeline, listener: TerminalProgress, result: dg.ExecuteInProcessResult, home: Home
) -> FactoryError:
    """Return why the run failed, if no stage has told it: a refusal, or else a fault."""
    run = listener.outcomes.get("evaluate")
    if run and isinstance(run.value, EvaluationResult) and not run.value.passed:
        failed = [gate.explanation for gate in run.value.gates if not gate.passed]
        return RefusedError(
            f"the candidate v{run.value.candidate.version} is not deployed: {'; '.join(failed)}",
            where=pipeline.name,
            remedy="see the evaluate asset in the UI; the champion is unchanged",
        )
    failures = [event for event in result.all_events if event.is_step_failure]
    kinds = {f.step_failure_data.error.cls_name for f in failures if f.step_failure_data.error}
    if kinds & {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}:
        raise KeyboardInterrupt
    # Dagster has kept the exception as text alone.
    text = "\n".join(str(event.step_failure_data.error) for event in failures)
    fault = RuntimeError(text or f"run {result.run_id} failed")
    return unexpected(fault, home, pipeline.name)


def _stored(pipeline: Pipeline, home: Home, listener: TerminalProgress) -> StageValues:
    """Return the latest results of the stages that this run left alone, unless it failed."""
    values: StageValues = {}
    for stage in stages_of(pipeline) if listener.error is None else ():
        query = ResultQuery(pipeline, stage, home)
        if stage not in listener.outcomes and (records := records_of(query)):
            values[stage] = value_of(records)
    return values


def _summary(
    pipeline: Pipeline, stored: StageValues, listener: TerminalProgress, seconds: float
) -> Summary:
    made = {stage: outcome.value for stage, outcome in listener.outcomes.items()}
    values = {**stored, **made}
    return Summary.from_values(
        pipeline.name,
        {stage: values[stage] for stage in stages_of(pipeline) if stage in values},
        seconds=seconds,
        megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        reused=listener.reused,
        made=listener.made,
        saved=listener.saved,
    )


_NEXT = """
Next:
  make up                                          serve the UI on http://127.0.0.1:3000
  factory predict machine_failure FILE             score a file with the champion
  factory new NAME --from data.csv --target y      declare your own pipeline
(the factory command is in .venv/bin)"""


def demo(console: Console) -> None:
    """Run the shipped pipelines and print what to do next."""
    shipped = sorted(file.parent.name for file in DEFS.glob("*/defs.yaml"))
    run(RunSelection(shipped), console)
    console.print(_NEXT, highlight=False)
