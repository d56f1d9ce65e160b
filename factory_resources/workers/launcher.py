"""Dagster's run launcher for one machine: the worker of each run is a session of its own.

A tag of the run identifies the keeper of its worker. Workers end with the process that launched
them, the daemon: a run that was interrupted so is retried when the factory is up again. Dagster's
way to resume a run in a new worker is not used: a retry is a run of its own, with its own entries
in the ledger, and reuses what was computed.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import dagster as dg
from dagster._core.launcher import (
    CheckRunHealthResult,
    LaunchRunContext,
    RunLauncher,
    WorkerStatus,
)
from dagster._core.storage.tags import MAX_RETRIES_TAG
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from factory_resources.errors import FactoryError, StorageError
from factory_resources.home.home import Home
from factory_resources.home.processes import is_alive, process_identity, process_number
from factory_resources.home.storage_faults import storage_faults
from factory_resources.tracking.run_history import PROCESS_TAG
from factory_resources.workers import keeper
from factory_resources.workers.dead_runs import end_dead_run
from factory_resources.workers.logs import open_log, run_log_file
from factory_resources.workers.run_processes import (
    RUN_VARIABLE,
    kill_processes_of,
)

_RETRY_SECONDS = 5.0
"""Seconds after which ending a run is tried again."""

_LOG = logging.getLogger("dagster.daemon.launcher")


class WorkerLauncher(RunLauncher[dg.DagsterInstance], ConfigurableClass):
    """Starts the worker of a run, notices its death, and stops it."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inst_data = inst_data
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = threading.Event()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "WorkerLauncher":
        return cls(inst_data=inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start the worker; it begins when the run's tag identifies it.

        A run that cannot be started, as its declaration is wrong by now, ends with the reason.
        One that was cancelled while the daemon took it from the queue stays cancelled.
        """
        run_id, origin = context.dagster_run.run_id, context.job_code_origin
        assert origin is not None
        arguments = ExecuteRunArgs(
            job_origin=origin,
            run_id=run_id,
            instance_ref=self._instance.get_ref(),
            set_exit_code_on_failure=True,
        )
        try:
            command = self.worker_command(context.dagster_run, arguments.get_command_args())
        except FactoryError as error:
            # Started again at once, it would end in the same way.
            self._instance.add_run_tags(run_id, {MAX_RETRIES_TAG: "0"})
            # Dagster's own message of a failed launch says no more than that it failed.
            end_dead_run(self._instance, context.dagster_run, str(error))
            return
        if self._was_cancelled(run_id):
            # The daemon has called it starting since: say again what it is.
            self._instance.report_run_canceled(context.dagster_run)
            return
        with open_log(Home.from_env(), run_id) as log:
            worker = _start(command, self.worker_variables(run_id), log)
        assert worker.stdin is not None
        try:
            self._instance.add_run_tags(run_id, {PROCESS_TAG: process_identity(worker.pid)})
            worker.stdin.write(b"\n")
            worker.stdin.flush()
        except BaseException:
            worker.stdin.close()
            worker.wait()
            raise
        self._workers[run_id] = worker
        threading.Thread(target=self._watch, args=(run_id, worker), daemon=True).start()

    def _was_cancelled(self, run_id: str) -> bool:
        kind = dg.DagsterEventType.RUN_CANCELED
        return bool(self._instance.get_records_for_run(run_id, of_type=kind, limit=1).records)

    def worker_command(self, run: dg.DagsterRun, command: Sequence[str]) -> Sequence[str]:
        """Return the command line of the worker of a run, given Dagster's."""
        return command

    def worker_variables(self, run_id: str) -> Mapping[str, str]:
        """Return what the environment of the worker has beside that of this process."""
        return {RUN_VARIABLE: run_id}

    def worker_ended(self, run: dg.DagsterRun, code: int) -> None:
        """End the run of a worker that has ended, if the worker did not.

        Args:
            code: the exit code of the worker.
        """
        if not run.is_finished:
            end_dead_run(self._instance, run)

    def _watch(self, run_id: str, worker: "subprocess.Popen[bytes]") -> None:
        """Wait until the worker has ended; if it died before its run had ended, end the run.

        What cannot be stored, as on a full disk, is tried again. If this process is to end, the run
        is ended at the next start: the instance may be closed already.
        """
        worker.wait()
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                with storage_faults(Home.from_env()):
                    if run := self._instance.get_run_by_id(run_id):
                        self.worker_ended(run, worker.returncode)
            except StorageError as fault:
                _LOG.warning("the worker of run %s has ended, stored later: %s", run_id, fault)
                pause = _RETRY_SECONDS
                continue
            except BaseException:
                # The health of a run that is not watched is that of its process, which is gone.
                del self._workers[run_id]
                raise
            del self._workers[run_id]
            return

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether the worker exists. What a dead one has left is killed."""
        identity = run.tags.get(PROCESS_TAG)
        # Workers of this process are watched, and only those of this machine have the tag.
        if run.run_id in self._workers or identity is None or is_alive(identity):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        kill_processes_of(run.run_id)
        return CheckRunHealthResult(WorkerStatus.FAILED, "the process of this run was killed")

    def get_run_worker_debug_info(
        self, run: dg.DagsterRun, include_container_logs: bool | None = True
    ) -> str | None:
        """Return where the output of the worker is."""
        log = run_log_file(Home.from_env(), run.run_id)
        return f"its output is in {log}" if log.exists() else None

    def terminate(self, run_id: str) -> bool:
        """Ask the worker to end, whichever process launched it; return whether there is one."""
        run = self._instance.get_run_by_id(run_id)
        identity = run.tags.get(PROCESS_TAG) if run and not run.is_finished else None
        if run is None or identity is None or not is_alive(identity):
            return False
        self._instance.report_run_canceling(run)
        try:
            os.kill(process_number(identity), signal.SIGTERM)
        except ProcessLookupError:
            # It has ended meanwhile; whoever watches it ends the run.
            return False
        return True

    def dispose(self) -> None:
        """Stop the workers, and wait until they have ended."""
        self._stopping.set()
        workers = [*self._workers.values()]
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.close()
        for worker in workers:
            worker.wait()


def _start(
    command: Sequence[str], variables: Mapping[str, str], log: IO[bytes]
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        _command_line(command),
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _command_line(command: Sequence[str]) -> list[str]:
    """Return the command line of a keeper for the command of a worker."""
    return [sys.executable, "-I", "-S", str(Path(keeper.__file__)), *command]
