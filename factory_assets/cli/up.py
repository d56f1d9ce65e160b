"""`factory up` and `factory env`.

`up` starts and stops the code server, the front door, the daemon and the prediction server
together. `env` prints the variables with which Dagster's commands find this factory.
"""

import multiprocessing
import os
import shlex
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout
from rich.console import Console

from factory_assets.cli.login import login_link
from factory_assets.cli.running import running_file
from factory_assets.serving.http.listen import Listen, bound_socket
from factory_assets.web.dagster.app import answers
from factory_assets.web.door.address import DoorAddress, require_allowed
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from factory_resources.home.logs import LogRotation, begin_log
from factory_resources.instance import prepare
from factory_resources.security.offline import SWITCHES

HOST = "127.0.0.1"

_START_TIMEOUT = 120.0
"""Seconds within which a page must answer."""

_STOP_TIMEOUT = 15.0
"""Seconds within which a service must end before it is killed."""


@dataclass(frozen=True)
class Services:
    """Where the services listen."""

    door: DoorAddress
    predictions: int
    """The port of the prediction server, on loopback."""

    @property
    def by_option(self) -> dict[str, tuple[str, int]]:
        """Each host and port by the option that chooses it."""
        listen = self.door.listen
        return {"--port": (listen.host, listen.port), "--predict-port": (HOST, self.predictions)}

    @property
    def pages(self) -> dict[str, str]:
        """The page at which each service answers when it is ready."""
        listen = self.door.listen
        scheme = "https" if listen.certificate else "http"
        any_host = {"0.0.0.0": HOST, "::": "[::1]", "::1": "[::1]"}  # noqa: S104 - it is asked there
        host = any_host.get(listen.host, listen.host)
        return {
            "door": f"{scheme}://{host}:{listen.port}/healthz",
            "predictions": f"http://{HOST}:{self.predictions}/healthz",
        }


def up(services: Services, console: Console) -> int:
    """Serve until Ctrl-C or SIGTERM, then return exit code 0.

    Raises:
        FactoryError: a port is taken, the address needs people or TLS, another `factory up` uses
            the home, or (with exit code 1) a service does not start or ends unexpectedly.
    """
    taken: set[int] = set()
    for option, (_, number) in services.by_option.items():
        if number in taken:
            raise FactoryError(
                f"two services would use port {number}", remedy=f"choose another {option}"
            )
        taken.add(number)
    home = Home.from_env()
    require_allowed(services.door, home)
    prepare(home)
    os.environ["FACTORY_MLFLOW_UI"] = f"{services.door.url}/mlflow"
    lock = serving_lock(home)
    for option, (host, number) in services.by_option.items():
        _require_free(option, host, number)
    _reconcile(home)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    processes: dict[str, subprocess.Popen[bytes]] = {}
    # Not in the home, whose path may be long: a socket's path has at most 107 characters.
    with lock, tempfile.TemporaryDirectory(prefix="factory-") as sockets:
        try:
            return _serve(home, Path(sockets), services, console, processes, stop)
        finally:
            _stop(processes)
            running_file(home).unlink(missing_ok=True)


def _reconcile(home: Home) -> None:
    """Do so in a process of its own: this one stays, and Dagster would take 60 MB of it."""

    def tell() -> None:
        from factory_assets.execution.boundary_reports import enter_reports
        from factory_resources.workers.reconcile import reconcile

        for line in reconcile(home):
            print(line, file=sys.stderr)  # noqa: T201 - a log has lines of any length
        enter_reports(home)

    process = multiprocessing.get_context("fork").Process(target=tell)
    process.start()
    process.join()
    if process.exitcode:
        raise FactoryError(
            "what an earlier run left could not be ended",
            remedy="read the lines above, and restore Dagster's database if it is damaged",
        )


def serving_lock(home: Home) -> AcquireReturnProxy[FileLock]:
    """Take the lock that only one `factory up` on a home can hold."""
    try:
        return FileLock(home.path / ".up.lock").acquire(timeout=0)
    except Timeout as error:
        raise FactoryError(
            "this factory is already running", where=str(home.path), remedy="stop it first"
        ) from error


def commands(home: Home, socket_path: Path, services: Services) -> Mapping[str, list[str]]:
    """Return the command line of each service.

    Door and daemon share one code server, so that neither loads the definitions itself.
    """
    workspace = home.path / "workspace.yaml"
    server = f"{{socket: '{socket_path}', location_name: factory}}"
    home.write_atomic(workspace, f"load_from:\n  - grpc_server: {server}\n".encode())
    python = [sys.executable, "-m"]
    code = ["dagster", "code-server", "start", "-m", "factory_assets.definitions"]
    code += ["--use-python-environment-entry-point"]
    door = ["factory_assets.web.door", "--workspace", str(workspace), *services.door.arguments]
    port = str(services.predictions)
    return {
        "door": [*python, *door],
        "code": [*python, *code, "--socket", str(socket_path), "--location-name", "factory"],
        "daemon": [*python, "dagster._daemon", "run", "-w", str(workspace)],
        "predictions": [*python, "factory_assets.cli", "serve", "--port", port],
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
    sockets: Path,
    services: Services,
    console: Console,
    processes: dict[str, subprocess.Popen[bytes]],
    stop: threading.Event,
) -> int:
    logs = home.path / "logs"
    logs.mkdir(exist_ok=True)
    code = sockets / "code.sock"
    waiting = dict(commands(home, code, services))
    daemon = waiting.pop("daemon")
    with console.status("starting"):
        for name, command in waiting.items():
            # Dagster makes a socket of its own there, between its server and the loader.
            variables = {"TMPDIR": str(sockets)}
            processes[name] = _start(command, logs / f"{name}.log", variables)
        for name in ("door", "predictions"):
            _await(name, services, processes, logs, stop)
    if not stop.is_set():
        home.write_atomic(running_file(home), services.door.url.encode())
        console.print(_told(home, services, logs), markup=False, highlight=False, soft_wrap=True)
    rotation = LogRotation(logs)
    while not stop.wait(0.5):
        _require_alive(processes, logs)
        # Before, it could not retry a run, and would not try a second time.
        if "daemon" not in processes and answers(code):
            processes["daemon"] = _start(daemon, logs / "daemon.log", {})
        rotation.look()
    return 0


def _start(
    command: Sequence[str], log: Path, variables: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    with begin_log(log) as output:
        return subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )


def _told(home: Home, services: Services, logs: Path) -> str:
    """Return what a person should know when everything answers."""
    local = services.door.listen.is_private
    lines = [f"factory      {login_link(home, services.door.url) if local else services.door.url}"]
    if local:
        lines.append("             (the link lets you in once; another: factory login)")
    if os.getuid() == 0:
        lines.append("boundary     none: root can undo any; start it with --user NAME")
    lines.append(f"predictions  http://{HOST}:{services.predictions}/docs")
    return "\n".join([*lines, f"logs         {logs}", "press Ctrl-C to stop all"])


def _await(
    name: str,
    services: Services,
    processes: Mapping[str, subprocess.Popen[bytes]],
    logs: Path,
    stop: threading.Event,
) -> None:
    page = services.pages[name]
    # Only whether it answers matters; the certificate names another host than this address.
    trusting = ssl._create_unverified_context() if page.startswith("https") else None  # noqa: S323
    deadline = time.monotonic() + _START_TIMEOUT
    while not stop.wait(0.1):
        _require_alive(processes, logs)
        try:
            with urllib.request.urlopen(page, timeout=5, context=trusting):  # noqa: S310 - our own
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise _service_error(name, "does not answer", logs) from None


def _require_alive(processes: Mapping[str, subprocess.Popen[bytes]], logs: Path) -> None:
    for name, process in processes.items():
        if process.poll() is not None:
            raise _service_error(name, f"ended unexpectedly (code {process.returncode})", logs)


def _service_error(name: str, what: str, logs: Path) -> FactoryError:
    log = logs / f"{name}.log"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else "its log is empty"
    error = FactoryError(f"{name} {what}: {last}", where=str(log), remedy="read that log")
    error.exit_code = 1
    return error


def _require_free(option: str, host: str, port: int) -> None:
    try:
        bound_socket(Listen(host, port)).close()
    except FactoryError as error:
        raise FactoryError(
            f"port {port} is not free", remedy=f"choose another with {option}"
        ) from error


def _stop(processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Send SIGTERM to the process group of each service, and SIGKILL if it does not end in time."""
    running = [process for process in processes.values() if process.poll() is None]
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
