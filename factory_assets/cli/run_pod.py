"""Run one run of Dagster in a pod of its own: `python -m factory_assets.cli.run_pod COMMAND...`.

The command is that of Dagster's worker, which the launcher of `dagster-k8s` gives. It runs inside a
boundary, as far as the pod allows one, and this process enters the boundary's report in the ledger.
On a machine without a cluster, `components.run_launcher` does the same.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from factory_resources.errors import FactoryError, SettingError
from factory_resources.home.home import Home
from factory_resources.home.processes import POD_VARIABLE, pod_lock


def main() -> None:
    """Run the worker to its end, and exit with its code, or with 2 and one line of error."""
    from factory_resources.instance import prepare

    home = Home.from_env()
    try:
        pod = _require_pod(sys.argv[1:])
        prepare(home)
        sys.exit(run_in_pod(pod, sys.argv[1:], home))
    except FactoryError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)


def _require_pod(command: Sequence[str]) -> str:
    """Return the name of the pod of a run that the command is to work for."""
    pod = os.environ.get(POD_VARIABLE)
    if not pod or "execute_run" not in command:
        raise SettingError(
            "this starts the worker of a run in a pod of its own",
            where=POD_VARIABLE,
            remedy="let Dagster start it; docs/kubernetes.md says how",
        )
    return pod


def run_in_pod(pod: str, command: Sequence[str], home: Home) -> int:
    """Run Dagster's worker inside the boundary of its run; return its exit code.

    Raises:
        SettingError: the databases do not know the run.
    """
    import dagster as dg
    from dagster._grpc.types import ExecuteRunArgs
    from dagster._serdes import deserialize_value

    from factory_assets.components.run_launcher import BOUNDARY_TAG, boundary_command
    from factory_assets.execution.boundary_reports import REPORT_VARIABLE, enter_reports
    from factory_resources.workers.run_processes import RUN_VARIABLE

    run_id = deserialize_value(command[-1], ExecuteRunArgs).run_id
    with home.lock(pod_lock(pod)), dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        if run is None:
            raise SettingError(
                f"the databases have no run {run_id}",
                where=POD_VARIABLE,
                remedy="use the home and the database of the factory that launched it",
            )
        variables = {REPORT_VARIABLE: run_id, RUN_VARIABLE: run_id}
        code = _wait_for(boundary_command(run, command, home), variables)
        if report := enter_reports(home).get(run_id):
            instance.add_run_tags(run_id, {BOUNDARY_TAG: report.level})
    home.forget_lock(pod_lock(pod))
    return code


def _wait_for(command: Sequence[str], variables: dict[str, str]) -> int:
    """Run a command to its end; whoever asks this process to end asks it, too."""
    process = subprocess.Popen(command, env={**os.environ, **variables})
    # The first process of a pod ignores a signal for which it has no handler.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda asked, _: process.send_signal(asked))
    code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main()
