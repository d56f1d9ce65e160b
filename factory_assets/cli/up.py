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
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout
from rich.console import Console

from factory_assets.cli.code_server import CodeServer
from factory_assets.cli.login import login_link
from factory_assets.cli.processes import KeptService, Processes
from factory_assets.cli.running import recorded_process, running_file
from factory_assets.serving.http.listen import Listen, bound_socket
from factory_assets.web.dagster.code_server import answers
from factory_assets.web.door.address import DoorAddress, require_allowed
from factory_resources.errors import FactoryError, RefusedError
from factory_resources.home.database import DATABASE_VARIABLE, alchemy_address, engine
from factory_resources.home.home import Home
from factory_resources.home.logs import LogRotation
from factory_resources.instance import prepare
from factory_resources.interpreter import module_command
from factory_resources.security.offline import SWITCHES

HOST = "127.0.0.1"

_START_TIMEOUT = 120.0
"""Seconds within which a page must answer."""

_LONGEST = 70
"""Bytes of the path of a folder in which there is room for the names of sockets."""


_ALCHEMY = f'export {DATABASE_VARIABLE}="{alchemy_address(f"postgresql://${{{DATABASE_VARIABLE}#*://}}")}"\n'
"""Dagster hands the address to SQLAlchemy as it is. The shell completes it, and nothing prints it,
since it may contain a password."""


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
    """Serve until Ctrl-C, SIGTERM or the end of the terminal, then return exit code 0.

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
    _prepare(home)
    stop = _set_by_signals()
    with serving_lock(home), recorded_process(home, sys.argv[1:]):
        for option, (host, number) in services.by_option.items():
            _require_free(option, host, number)
        _reconcile(home)
        return _serve_until(stop, home, services, console)


def _set_by_signals() -> threading.Event:
    """Return an event that is set when a signal asks this process to end."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup it goes on without its terminal.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())
    return stop


def _serve_until(stop: threading.Event, home: Home, services: Services, console: Console) -> int:
    processes = Processes(home.path / "logs")
    with tempfile.TemporaryDirectory(prefix="factory-", dir=sockets_parent()) as sockets:
        try:
            return _serve(home, Path(sockets), services, console, processes, stop)
        finally:
            processes.stop()
            running_file(home).unlink(missing_ok=True)


def sockets_parent() -> str:
    """Return where the folder of the sockets is made.

    A socket's path has at most 107 bytes: that of a home may be longer, and that of TMPDIR, too.
    """
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= _LONGEST else "/tmp"  # noqa: S108 - private


def _prepare(home: Home) -> None:
    """Prepare the home, in a child if there is much to do: MLflow would take 170 MB of this one."""

    def try_it() -> None:
        with suppress(FactoryError):
            prepare(home)

    _in_child(try_it)
    # Now it is quick, or meets the same error.
    prepare(home)


def _reconcile(home: Home) -> None:
    """Do so in a child: Dagster would take 60 MB of this process, which stays."""

    def tell() -> None:
        from factory_assets.cli.faults import end_with
        from factory_assets.execution.boundary_reports import enter_reports
        from factory_resources.workers.reconcile import reconcile

        try:
            for line in reconcile(home):
                print(line, file=sys.stderr)  # noqa: T201 - a log has lines of any length
            enter_reports(home)
        except Exception as error:  # noqa: BLE001
            end_with(error, debug=False)

    code = _in_child(tell)
    if code and code > 0:
        sys.exit(code)
    if code:
        raise FactoryError(
            "the process that cleans up after killed runs was killed", remedy="start again"
        )


def _in_child(work: Callable[[], None]) -> int | None:
    """Do something in a process of its own, wait for it, and return its exit code."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    return process.exitcode


def serving_lock(home: Home, patience: float = 0.0) -> AcquireReturnProxy[FileLock]:
    """Take the lock that only one `factory up` on a home can hold.

    Args:
        patience: seconds to wait for another one to end.

    Raises:
        FactoryError: another one holds it.
    """
    try:
        return FileLock(home.path / ".up.lock").acquire(timeout=patience)
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
    door = ["factory_assets.web.door", "--workspace", str(workspace), *services.door.arguments]
    daemon = ["factory_assets.cli.daemon", str(workspace), str(socket_path)]
    predictions = ["factory_assets.cli", "serve", "--port", str(services.predictions)]
    return {
        "door": module_command(*door),
        "daemon": module_command(*daemon),
        "predictions": module_command(*predictions),
    }


def _serve(
    home: Home,
    sockets: Path,
    services: Services,
    console: Console,
    processes: Processes,
    stop: threading.Event,
) -> int:
    processes.logs.mkdir(exist_ok=True)
    code = sockets / "code.sock"
    waiting = dict(commands(home, code, services))
    daemon = waiting.pop("daemon")
    with console.status("starting"):
        # Runs go on without these two, and callers without the pages.
        kept = {name: KeptService(name, command, processes) for name, command in waiting.items()}
        server = CodeServer(code, lambda command: processes.start("code", command))
        first = {name: service.process for name, service in kept.items()}
        for name in kept:
            _await(name, services, processes, {**first, "code": server.process}, stop)
    if not stop.is_set():
        home.write_atomic(running_file(home), services.door.url.encode())
        text = _addresses(home, services, processes.logs)
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    rotation, running = LogRotation(processes.logs), dict[str, subprocess.Popen[bytes]]()
    while not stop.wait(0.5):
        for told in filter(None, [service.look() for service in kept.values()]):
            print(told, file=sys.stderr)  # noqa: T201 - a log has lines of any length
        processes.require_alive({**running, "code": server.process})
        server.look()
        # Before, it could not retry a run, and would not try a second time.
        if "daemon" not in running and answers(code):
            running["daemon"] = processes.start("daemon", daemon)
        rotation.look()
    return 0


def _addresses(home: Home, services: Services, logs: Path) -> str:
    """Return the addresses of what is up, and how to stop it, as text."""
    lines = [f"factory      {services.door.url}"]
    if services.door.listen.is_private:
        try:
            lines = [f"factory      {login_link(home, services.door.url)}"]
            lines.append("             (the link lets you in once; another: factory login)")
        except RefusedError as error:
            lines.append(f"             (no link: {error.what}; {error.remedy})")
    if os.getuid() == 0:
        lines.append("boundary     none: root can undo any; start it with --user NAME")
    lines.append(f"predictions  http://{HOST}:{services.predictions}/docs")
    return "\n".join([*lines, f"logs         {logs}", "press Ctrl-C to stop all"])


def _await(
    name: str,
    services: Services,
    processes: Processes,
    running: Mapping[str, subprocess.Popen[bytes]],
    stop: threading.Event,
) -> None:
    page = services.pages[name]
    # Only whether it answers matters; the certificate names another host than this address, and no
    # proxy of the environment leads to this machine.
    trusting = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())  # noqa: S323
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusting)
    deadline = time.monotonic() + _START_TIMEOUT
    while not stop.wait(0.1):
        processes.require_alive(running)
        try:
            with opener.open(page, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise processes.error(name, "does not answer") from None


def _require_free(option: str, host: str, port: int) -> None:
    try:
        bound_socket(Listen(host, port)).close()
    except FactoryError as error:
        is_roots = isinstance(error.__cause__, PermissionError)
        above = ", from 1024 on: those below are root's" * is_roots
        raise FactoryError(error.what, remedy=f"choose another with {option}{above}") from error


def environment() -> str:
    """Prepare the home and return `export` lines for a POSIX shell."""
    prepare(Home.from_env())
    names = ("FACTORY_HOME", "DAGSTER_HOME", *SWITCHES)
    lines = [f"export {name}={shlex.quote(os.environ[name])}\n" for name in names]
    if engine() == "postgresql":
        lines.append(_ALCHEMY)
    return "".join(lines)
