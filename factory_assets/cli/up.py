"""`factory up` and `factory env`.

`up` starts and stops the code server, the Dagster UI, the daemon, MLflow and the prediction server
together, on loopback.
`env` prints the variables with which `dg`, `dagster` and `dagster-webserver` find this factory.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from filelock import AcquireReturnProxy, FileLock, Timeout
from rich.console import Console

from factory_assets.cli.shared import end_dead_runs
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.security.offline import SWITCHES
from factory_resources.tracking.registry import Registry

HOST = "127.0.0.1"

_START_TIMEOUT = 120.0
"""Seconds within which a page must answer."""

_STOP_TIMEOUT = 15.0
"""Seconds within which a service must end before it is killed."""


@dataclass(frozen=True)
class Ports:
    """Where each service listens."""

    ui: int
    mlflow: int
    predictions: int

    @property
    def by_option(self) -> dict[str, int]:
        """Each port by the option that chooses it."""
        return {
            "--port": self.ui,
            "--mlflow-port": self.mlflow,
            "--predict-port": self.predictions,
        }

    @property
    def pages(self) -> dict[str, str]:
        """The address at which each service answers when it is ready."""
        return {
            "ui": f"http://{HOST}:{self.ui}",
            "mlflow": f"http://{HOST}:{self.mlflow}",
            "predictions": f"http://{HOST}:{self.predictions}/healthz",
        }


def up(ports: Ports, console: Console) -> int:
    """Serve until Ctrl-C or SIGTERM, then return exit code 0.

    Raises:
        FactoryError: a port is taken, another `factory up` uses the home, or (with exit code 1) a
            service does not start or ends unexpectedly.
    """
    taken: set[int] = set()
    for option, number in ports.by_option.items():
        if number in taken:
            raise FactoryError(
                f"two services would use port {number}", remedy=f"choose another {option}"
            )
        taken.add(number)
    home = Home.from_env()
    prepare(home)
    os.environ["FACTORY_MLFLOW_UI"] = ports.pages["mlflow"]
    lock = _lock(home)
    for option, number in ports.by_option.items():
        _require_free(option, number)
    with dg.DagsterInstance.get() as instance:
        end_dead_runs(instance)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    services: dict[str, subprocess.Popen[bytes]] = {}
    # Not in the home, whose path may be long: a socket's path has at most 107 characters.
    with lock, tempfile.TemporaryDirectory(prefix="factory-") as sockets:
        try:
            lines = commands(home, Path(sockets) / "code.sock", ports)
            return _serve(home, lines, ports, console, services, stop)
        finally:
            _stop(services)


def _lock(home: Home) -> AcquireReturnProxy[FileLock]:
    """Take the lock that only one `factory up` on a home can hold."""
    try:
        return FileLock(home.path / ".up.lock").acquire(timeout=0)
    except Timeout as error:
        raise FactoryError(
            "this factory is already running", where=str(home.path), remedy="stop it first"
        ) from error


def commands(home: Home, socket_path: Path, ports: Ports) -> Mapping[str, list[str]]:
    """Return the command line of each service.

    UI and daemon share one code server, so that neither loads the definitions itself.
    """
    workspace = home.path / "workspace.yaml"
    server = f"{{socket: '{socket_path}', location_name: factory}}"
    home.write_atomic(workspace, f"load_from:\n  - grpc_server: {server}\n".encode())
    python = [sys.executable, "-m"]
    code = ["dagster", "code-server", "start", "-m", "factory_assets.definitions"]
    code += ["--use-python-environment-entry-point"]
    return {
        "code": [*python, *code, "--socket", str(socket_path), "--location-name", "factory"],
        "ui": [
            *python,
            "factory_assets.web.door",
            "-w",
            str(workspace),
            "-h",
            HOST,
            "-p",
            str(ports.ui),
        ],
        "daemon": [*python, "dagster._daemon", "run", "-w", str(workspace)],
        "mlflow": [
            *python,
            "mlflow",
            "server",
            "--host",
            HOST,
            "--port",
            str(ports.mlflow),
            "--workers",
            "1",
        ],
        "predictions": [
            *python,
            "factory_assets.cli",
            "serve",
            "--port",
            str(ports.predictions),
        ],
    }


def _mlflow_settings(home: Home) -> dict[str, str]:
    """Return MLflow's settings as environment variables.

    Command-line options would show the password in a database URL to every user of the machine.
    """
    return {
        "MLFLOW_BACKEND_STORE_URI": Registry(home).uri,
        "MLFLOW_ARTIFACTS_DESTINATION": str(home.artifacts),
        # Saves eight processes of 220 MB each, for jobs that the factory does not have.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _end_with_parent() -> None:
    """Make this service end with its parent (Linux only).

    Otherwise a killed factory would leave services behind that go on scheduling runs.
    """
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _serve(
    home: Home,
    lines: Mapping[str, list[str]],
    ports: Ports,
    console: Console,
    services: dict[str, subprocess.Popen[bytes]],
    stop: threading.Event,
) -> int:
    logs = home.path / "logs"
    logs.mkdir(exist_ok=True)
    with console.status("starting"):
        for name, command in lines.items():
            with (logs / f"{name}.log").open("wb") as log:
                services[name] = subprocess.Popen(
                    command,
                    env={**os.environ, **_mlflow_settings(home)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=_end_with_parent,
                )
        for name, page in ports.pages.items():
            _await(name, page, services, logs, stop)
    if not stop.is_set():
        console.print(
            f"UI           {ports.pages['ui']}\nMLflow       {ports.pages['mlflow']}\n"
            f"predictions  http://{HOST}:{ports.predictions}/docs\nlogs         {logs}\n"
            "press Ctrl-C to stop all"
        )
    while not stop.wait(0.5):
        _require_alive(services, logs)
    return 0


def _await(
    name: str,
    page: str,
    services: Mapping[str, subprocess.Popen[bytes]],
    logs: Path,
    stop: threading.Event,
) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while not stop.wait(0.3):
        _require_alive(services, logs)
        try:
            with urllib.request.urlopen(page, timeout=5):  # noqa: S310 - loopback
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise _service_error(name, "does not answer", logs) from None


def _require_alive(services: Mapping[str, subprocess.Popen[bytes]], logs: Path) -> None:
    for name, process in services.items():
        if process.poll() is not None:
            raise _service_error(name, f"ended unexpectedly (code {process.returncode})", logs)


def _service_error(name: str, what: str, logs: Path) -> FactoryError:
    log = logs / f"{name}.log"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else "its log is empty"
    error = FactoryError(f"{name} {what}: {last}", where=str(log), remedy="read that log")
    error.exit_code = 1
    return error


def _require_free(option: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise FactoryError(
                f"port {port} is not free ({error.strerror})",
                remedy=f"choose another with {option}",
            ) from error


def _stop(services: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Send SIGTERM to the process group of each service, and SIGKILL if it does not end in time."""
    running = [process for process in services.values() if process.poll() is None]
    for process in running:
        os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT
    for process in running:
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def environment() -> str:
    """Prepare the home and return `export` lines for a POSIX shell."""
    prepare(Home.from_env())
    names = ("FACTORY_HOME", "DAGSTER_HOME", *SWITCHES)
    return "".join(f"export {name}={shlex.quote(os.environ[name])}\n" for name in names)
