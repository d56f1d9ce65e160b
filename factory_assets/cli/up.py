"""`factory up`: the code server.

The UI, the daemon and MLflow, on loopback, as one thing to start and stop.

`factory env`: what a shell needs so that `dg`.

`dagster` and `dagster-webserver` see this factory.
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

_PATIENCE = 120.0

_GRACE = 15.0


def up(port: int, mlflow_port: int, console: Console) -> int:
    """Serve until Ctrl-C or SIGTERM; the exit code is 0 then, 1 when a service died by itself.

    Raises:
        FactoryError: when a port is taken, the home is in use, or a service does not start.
    """
    if port == mlflow_port:
        raise FactoryError(f"port {port} is asked for twice", remedy="choose another --mlflow-port")
    home = Home.from_env()
    prepare(home)
    os.environ["FACTORY_MLFLOW_UI"] = f"http://{HOST}:{mlflow_port}"
    held = _only_one(home)
    for name, number in (("--port", port), ("--mlflow-port", mlflow_port)):
        _require_free(name, number)
    with dg.DagsterInstance.get() as instance:
        end_dead_runs(instance)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    services: dict[str, subprocess.Popen[bytes]] = {}
    # Not in the home: the path of a socket may have 107 characters at most.
    with held, tempfile.TemporaryDirectory(prefix="factory-") as sockets:
        try:
            lines = commands(home, Path(sockets) / "code.sock", port, mlflow_port)
            return _serve(home, lines, port, mlflow_port, console, services, stop)
        finally:
            _stop(services)


def _only_one(home: Home) -> AcquireReturnProxy[FileLock]:
    try:
        return FileLock(home.path / ".up.lock").acquire(timeout=0)
    except Timeout as error:
        raise FactoryError(
            "this factory is up already", where=str(home.path), remedy="stop it first"
        ) from error


def commands(home: Home, socket_path: Path, port: int, mlflow_port: int) -> Mapping[str, list[str]]:
    """Each service's command line. One code server, so that UI and daemon do not load their own."""
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
            str(port),
        ],
        "daemon": [*python, "dagster._daemon", "run", "-w", str(workspace)],
        "mlflow": [
            *python,
            "mlflow",
            "server",
            "--host",
            HOST,
            "--port",
            str(mlflow_port),
            "--workers",
            "1",
        ],
    }


def _mlflow_settings(home: Home) -> dict[str, str]:
    """By the environment rather than as options: the address of a database may hold a password,
    and every user of the machine sees command lines."""
    return {
        "MLFLOW_BACKEND_STORE_URI": Registry(home).uri,
        "MLFLOW_ARTIFACTS_DESTINATION": str(home.artifacts),
        # Eight more processes of 220 MB each, for jobs that the factory does not have.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _end_with_parent() -> None:
    """A killed factory must not leave services behind that go on scheduling runs (Linux only)."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _serve(
    home: Home,
    lines: Mapping[str, list[str]],
    port: int,
    mlflow_port: int,
    console: Console,
    services: dict[str, subprocess.Popen[bytes]],
    stop: threading.Event,
) -> int:
    logs = home.path / "logs"
    logs.mkdir(exist_ok=True)
    pages = {"ui": f"http://{HOST}:{port}", "mlflow": f"http://{HOST}:{mlflow_port}"}
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
        for name, page in pages.items():
            _await(name, page, services, logs, stop)
    if not stop.is_set():
        console.print(
            f"UI      {pages['ui']}\nMLflow  {pages['mlflow']}\nlogs    {logs}\nCtrl-C stops all"
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
    deadline = time.monotonic() + _PATIENCE
    while not stop.wait(0.3):
        _require_alive(services, logs)
        try:
            with urllib.request.urlopen(page, timeout=5):  # noqa: S310 - loopback
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise _fault(name, "does not answer", logs) from None


def _require_alive(services: Mapping[str, subprocess.Popen[bytes]], logs: Path) -> None:
    for name, process in services.items():
        if process.poll() is not None:
            raise _fault(name, f"ended by itself (code {process.returncode})", logs)


def _fault(name: str, what: str, logs: Path) -> FactoryError:
    log = logs / f"{name}.log"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else "its log is empty"
    fault = FactoryError(f"{name} {what}: {last}", where=str(log), remedy="read that log")
    fault.exit_code = 1
    return fault


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
    """Ask every service's whole group to end; after a while, make it."""
    running = [process for process in services.values() if process.poll() is None]
    for process in running:
        os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    for process in running:
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def environment() -> str:
    """`export` lines for a POSIX shell; the home is prepared first."""
    prepare(Home.from_env())
    names = ("FACTORY_HOME", "DAGSTER_HOME", *SWITCHES)
    return "".join(f"export {name}={shlex.quote(os.environ[name])}\n" for name in names)
