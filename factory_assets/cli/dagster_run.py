"""Run one pipeline with Dagster, in this process.

Pipelines for which nothing changed do not come here: see `run`.
"""

import gc
import logging
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.execution import compute_logs
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from factory_assets.cli.faults import unexpected
from factory_assets.cli.progress import TerminalProgress
from factory_assets.cli.shared import RunRequest
from factory_assets.components.merging import merge_defs
from factory_assets.components.model_pipeline import build_pipeline
from factory_assets.components.partitions import PARTITIONS
from factory_assets.components.run_context import (
    REHASH_TAG,
    REUSE_TAG,
    WORKERS_TAG,
    report_unchanged,
)
from factory_assets.execution.unchanged_notes import take_notes
from factory_assets.execution.workers.local_processes import LocalProcesses
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.latest import PARTITIONED
from factory_assets.spec import Pipeline
from factory_resources.dagster_databases import ask_less
from factory_resources.errors import FactoryError, RefusedError
from factory_resources.home.home import Home
from factory_resources.home.processes import own_identity
from factory_resources.home.run_markers import killed_runs, run_marker
from factory_resources.tracking.run_history import PROCESS_TAG
from factory_resources.workers.dead_runs import end_dead_runs

if TYPE_CHECKING:
    from dagster_shared.error import SerializableErrorInfo

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@contextmanager
def dagster_execution(
    home: Home, processes: LocalProcesses
) -> Iterator[partial[FactoryError | None]]:
    """Yield a function that runs one pipeline and returns the error that stopped it.

    Tells Dagster first about runs that were killed, and about those in which nothing changed.

    Args:
        processes: those that work for the run on this machine.
    """
    ask_less()
    with _quiet_retries(), _quiet_copying(), dg.DagsterInstance.get() as instance:
        dead = killed_runs(home)
        end_dead_runs(instance)
        for marker in dead:
            marker.unlink(missing_ok=True)
        report_unchanged(instance, take_notes(home))
        with run_marker(home):
            yield partial(_run, home, processes, instance)


def _run(
    home: Home,
    processes: LocalProcesses,
    instance: dg.DagsterInstance,
    request: RunRequest,
    listener: TerminalProgress,
) -> FactoryError | None:
    resources = {"home": home, "progress": listener, "processes": processes}
    result = _execute(request, resources, instance)
    if result.success or listener.error:
        return listener.error
    return _error(request.pipeline, listener, result, home)


def _execute(
    request: RunRequest, resources: Mapping[str, object], instance: dg.DagsterInstance
) -> dg.ExecuteInProcessResult:
    name = request.pipeline.name
    definitions = merge_defs([build_pipeline(request.pipeline)], resource_overrides=resources)
    job = definitions.resolve_job_def(name)
    create = partial(dg.DagsterInstance.create_run_for_job, instance)
    # Dagster gives a run in this process no origin, without which its pages cannot repeat it.
    instance.create_run_for_job = partial(create, remote_job_origin=_origin(name))  # type: ignore[method-assign]
    # The objects loaded so far live as long as the process; the collector can skip them.
    gc.freeze()
    return job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey([name, last]) for last in _assets(request)],
        tags={
            REUSE_TAG: str(request.reuse).lower(),
            **({REHASH_TAG: "all"} if request.rehash else {}),
            **({WORKERS_TAG: request.workers} if request.workers else {}),
            PROCESS_TAG: own_identity(),
            # The daemon cannot retry a run of this process; the user repeats the command.
            "dagster/max_retries": "0",
            # Nor does it end a run that takes longer than a day; Ctrl-C does.
            "dagster/max_runtime": "0",
        },
        run_config=_QUIET | _partition_config(request),
        raise_on_error=False,
    )


def _origin(job: str) -> RemoteJobOrigin:
    """Return where the code server of `factory up` has the job."""
    location = GrpcServerCodeLocationOrigin("localhost", location_name="factory")
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME), job)


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
        serves = run.value.champion_version
        champion = f"the champion is still v{serves}" if serves else "there is no champion yet"
        return RefusedError(
            f"the candidate v{run.value.candidate.version} is not deployed: {'; '.join(failed)}",
            where=pipeline.name,
            remedy=f"see the evaluate asset in the UI; {champion}",
        )
    errors = [*_errors(result)]
    kinds = {error.cls_name for error in errors}
    if kinds & {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}:
        raise KeyboardInterrupt
    # Dagster has kept the exception as text alone.
    text = "\n".join(map(str, errors))
    fault = RuntimeError(text or f"run {result.run_id} failed")
    return unexpected(fault, home, pipeline.name)


def _errors(result: dg.ExecuteInProcessResult) -> Iterator["SerializableErrorInfo"]:
    """Yield the errors of failed steps, and that of the run if no step was to blame."""
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error:
            yield event.step_failure_data.error
        elif event.is_job_failure and event.job_failure_data.error:
            yield event.job_failure_data.error


@contextmanager
def _quiet_retries() -> Iterator[None]:
    """Drop what Dagster logs at each attempt to reach its database; the error tells the last."""
    root = logging.getLogger()
    root.addFilter(_is_no_retry)
    try:
        yield
    finally:
        root.removeFilter(_is_no_retry)


def _is_no_retry(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Retrying failed database connection")


@contextmanager
def _quiet_copying() -> Iterator[None]:
    """Keep Ctrl-C from the processes that copy what a stage prints: they would print tracebacks.

    Dagster ends them with the stage, and they end by themselves if this process is gone.
    """
    start = compute_logs.execute_posix_tail

    @contextmanager
    def started(path: str, stream: Any) -> Iterator[Any]:
        with ExitStack() as stack:
            # They inherit it; here, the signal comes a moment later.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                copying = stack.enter_context(start(path, stream))
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            yield copying

    compute_logs.execute_posix_tail = started
    try:
        yield
    finally:
        compute_logs.execute_posix_tail = start
