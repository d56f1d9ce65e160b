"""Run the front door: one process, one address.

Where it may listen is decided in `address`; who comes in, in `door` and `login`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.routing import Route

from factory_assets.declarations.settings import FILE, declared_provider
from factory_assets.execution.ledger_entries import begin_ledger
from factory_assets.serving.http.connection import limited
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.http.listen import bound_socket
from factory_assets.serving.http.uvicorn_server import UvicornServer
from factory_assets.web.access_log import AccessLog
from factory_assets.web.door.address import DoorAddress, require_allowed
from factory_assets.web.door.deferred import Deferred
from factory_assets.web.door.door import Applications, Door
from factory_assets.web.door.doorkeeper import Doorkeeper
from factory_assets.web.door.login import Cookie, Login
from factory_assets.web.door.passkeys import PasskeyLogin
from factory_resources.errors import DeclarationError, FactoryError
from factory_resources.home.home import Home
from factory_resources.security.peer_user import Peer
from factory_resources.security.request_guard import App, Guard, GuardReason, Message
from factory_resources.security.sessions import Sessions

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from factory_assets.web.door.oidc import OpenIdLogin

_LOG = logging.getLogger("factory.door")

_FLUSH = 60.0
"""Seconds between two looks for refusals that were counted and not yet entered."""

_WEBSOCKET = 1 << 20
"""Bytes of a message of a websocket."""


def serve_door(home: Home, workspace: Path, address: DoorAddress) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        workspace: the file that says where Dagster's code server listens.

    Raises:
        FactoryError: the door may not or cannot listen there, or an application behind it cannot
            start.
    """
    require_allowed(address, home)
    begin_ledger(home)
    failures: list[BaseException] = []
    with closing(bound_socket(address.listen)) as bound, asyncio.Runner() as runner:
        runner.run(_serve(home, workspace, address, bound, failures))
    for failure in failures:
        raise failure


async def _serve(
    home: Home,
    workspace: Path,
    address: DoorAddress,
    bound: socket.socket,
    failures: list[BaseException],
) -> None:
    loop = asyncio.get_running_loop()
    with ExitStack() as resources:
        disk_thread = resources.enter_context(ThreadPoolExecutor(1, "ledger"))
        passwords = resources.enter_context(ThreadPoolExecutor(1, "passwords"))
        makers = ThreadPoolExecutor(1, "applications")
        log = AccessLog(home)

        def failed(error: BaseException) -> None:
            failures.append(error)
            server.stop()

        cookie = Cookie(f"factory_{address.listen.port}", address.secure)
        apps = _applications(home, workspace, log, cookie, AppLoader(resources, makers, failed))
        guarded = build_door(home, address, cookie, log, disk_thread, passwords, apps)
        server = UvicornServer(_config(guarded, address))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.stop)
        flush = loop.create_task(_flush(log, disk_thread))
        try:
            await server.serve(sockets=[bound])
        finally:
            makers.shutdown(wait=False, cancel_futures=True)
            flush.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await flush
            with contextlib.suppress(FactoryError):
                log.flush()


def build_door(
    home: Home,
    address: DoorAddress,
    cookie: Cookie,
    log: AccessLog,
    disk_thread: Executor,
    passwords: Executor,
    apps: Applications,
) -> Guard:
    """Return the door with the guard in front of it.

    What `factory.yaml` says of logins counts from now on, until the next start.

    Args:
        disk_thread: runs what waits for the ledger, in order.
        passwords: runs one check of a password at a time.

    Raises:
        DeclarationError: `factory.yaml` is wrong, or needs packages that are not installed.
    """
    doorkeeper, sessions = Doorkeeper(), Sessions(home)
    peer = _peer_of if address.listen.is_private else _no_peer
    provider = declared_provider()
    host = provider.host if provider else None
    login = Login(home, doorkeeper, sessions, log, cookie, disk_thread, passwords, peer, host)
    passkeys = PasskeyLogin(home, login, doorkeeper, log, cookie)
    ways: Sequence[Route] = ()
    if provider:
        ways = _open_id_login()(provider, home, address, login, doorkeeper, log, cookie).routes
    return Guard(
        Door(apps, login, passkeys, doorkeeper, sessions, log, cookie.name, peer, ways),
        address.hosts,
        secure=address.secure,
        refused=lambda reason, scope: _note(log, disk_thread, reason, scope),
    )


def _open_id_login() -> type[OpenIdLogin]:
    """Import what logs people in at a provider.

    Raises:
        DeclarationError: the packages of the extra are missing.
    """
    try:
        from factory_assets.web.door.oidc import OpenIdLogin
    except ImportError as error:
        raise DeclarationError(
            f"login.oidc needs the packages of the extra oidc: {error}",
            where=FILE,
            remedy="pip install '.[oidc]'",
        ) from error
    return OpenIdLogin


def _no_peer(scope: Message) -> int | None:
    return None


def _peer_of(scope: Message) -> int | None:
    peer: Peer | None = scope.get("state", {}).get("peer")
    return peer.user if peer else None


def _config(guard: Guard, address: DoorAddress) -> uvicorn.Config:
    limits = Limits()
    return uvicorn.Config(
        guard,
        http=limited(limits),
        ws="websockets-sansio",
        ws_max_size=_WEBSOCKET,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.idle,
        timeout_graceful_shutdown=5,
        backlog=limits.connections,
        ssl_certfile=address.listen.certificate,
        ssl_keyfile=address.listen.key,
    )


@dataclass(frozen=True)
class AppLoader:
    """Makes, in a thread, the applications that take seconds to import."""

    resources: ExitStack
    thread: Executor
    failed: Callable[[BaseException], None]

    def defer(self, make: Callable[[], App]) -> Deferred:
        """Return an application that begins to be made now."""
        return Deferred(make, self.thread, self.failed)


def _applications(
    home: Home, workspace: Path, log: AccessLog, cookie: Cookie, loader: AppLoader
) -> Applications:
    def dagster() -> App:
        from factory_assets.web.dagster.app import dagster_app

        return loader.resources.enter_context(dagster_app(home, workspace, log))

    def mlflow() -> App:
        from factory_assets.web.mlflow.app import mlflow_app

        return mlflow_app(home, "/mlflow", log)

    def own() -> App:
        from factory_assets.web.pages.pages import pages

        return pages(home, log, cookie.name, secure=cookie.secure)

    def auditor() -> App:
        from factory_assets.web.auditor.app import auditor_app

        return auditor_app(home, log, cookie.name)

    # They are made one after the other, the quickest first: Dagster takes seconds.
    own_pages = loader.defer(own)
    makers = {"/audit": auditor, "/dagster": dagster, "/mlflow": mlflow}
    return Applications({path: loader.defer(make) for path, make in makers.items()}, own_pages)


def _note(log: AccessLog, disk_thread: Executor, reason: GuardReason, scope: Message) -> None:
    operation = f"{scope.get('method', 'websocket')} {scope['path']}"
    disk_thread.submit(log.refused, reason, operation)


async def _flush(log: AccessLog, disk_thread: Executor) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_FLUSH)
        try:
            await loop.run_in_executor(disk_thread, log.flush)
        except FactoryError as error:
            _LOG.error("refusals were not entered in the ledger: %s", error)
