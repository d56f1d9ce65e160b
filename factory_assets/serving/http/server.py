"""Run the prediction server: one process, one event loop, all champions.

Where it may listen is decided here; what it answers, in `app`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import uvicorn

from factory_assets.serving.answer_retention import apply_retention
from factory_assets.serving.feedback.recorder import OutcomeRecorder
from factory_assets.serving.http.access import Access
from factory_assets.serving.http.app import PredictionApp
from factory_assets.serving.http.champions import Champions
from factory_assets.serving.http.connection import limited
from factory_assets.serving.http.durable import DurableLog
from factory_assets.serving.http.feedback import FeedbackDesk
from factory_assets.serving.http.listen import (
    LOOPBACK,
    Listen,
    bound_socket,
    require_certificate,
)
from factory_assets.serving.http.metrics import Metrics
from factory_assets.serving.http.pages import Pages
from factory_assets.serving.http.rollout_watch import RolloutWatch
from factory_assets.serving.http.uvicorn_server import UvicornServer
from factory_resources.errors import FactoryError, RefusedError
from factory_resources.home.home import Home
from factory_resources.metering.meter import Rates
from factory_resources.outcomes.binding import bind_outcomes
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.security.tokens import Tokens

if TYPE_CHECKING:
    from factory_assets.execution.rollout_evidence import LabelledLosses
    from factory_resources.prediction_log.journal import Journal

_LOG = logging.getLogger("factory.serve")

_WATCH = 0.2
"""Seconds between two looks at the ledger."""

_SEAL = 15.0
"""Seconds after which answers leave the journal; each time they are one entry of the ledger."""

_COLLECT = 5.0
"""Seconds between two looks for what left it."""


def serve(
    home: Home,
    names: Sequence[str],
    listen: Listen,
    started: Callable[[str], None],
    labelled: LabelledLosses | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        names: the pipelines; empty for all champions.
        started: called with the address when the server answers.
        labelled: returns the losses of answers whose outcomes are known, for roll-outs.

    Raises:
        SettingError: the certificate cannot be used.
        RefusedError: it would be reachable from elsewhere without tokens and TLS.
        ModelError: a named pipeline has no champion.
        FactoryError: the address cannot be bound.
        StorageError: the prediction log cannot be written.
    """
    tokens = Tokens(home)
    require_certificate(listen.certificate, listen.key)
    _require_allowed(listen, tokens)
    home.require_writable()
    with closing(bound_socket(listen)) as bound, asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(_serve(home, names, listen, tokens, bound, started, labelled))


def _loop() -> asyncio.AbstractEventLoop:
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


async def _serve(
    home: Home,
    names: Sequence[str],
    listen: Listen,
    tokens: Tokens,
    bound: socket.socket,
    started: Callable[[str], None],
    labelled: LabelledLosses | None,
) -> None:
    loop = asyncio.get_running_loop()
    with ExitStack() as resources:
        engine_thread = resources.enter_context(ThreadPoolExecutor(1, "engines"))
        behind = resources.enter_context(ThreadPoolExecutor(1, "collector"))
        disk_thread = resources.enter_context(ThreadPoolExecutor(1, "roll-outs"))
        champions = Champions(home, names, lambda model: engine_thread.submit(model.close))
        resources.callback(champions.close)
        loader = resources.enter_context(ThreadPoolExecutor(1, "champions"))
        await loop.run_in_executor(loader, champions.refresh)
        journal = PredictionLog(home).journal()
        resources.callback(journal.close)
        metrics = Metrics()
        access = Access(
            tokens,
            hosts=LOOPBACK if listen.is_private else (),
            required=not listen.is_private,
        )
        thread = resources.enter_context(ThreadPoolExecutor(1, "feedback"))
        recorder = OutcomeRecorder(home)
        resources.callback(thread.submit, recorder.close)
        feedback = FeedbackDesk(recorder, access, metrics, listen.limits, thread)
        pages = Pages(champions, metrics, lambda: app.active, Rates.from_env().watts_per_core)
        app = PredictionApp(
            champions,
            DurableLog(journal),
            access,
            metrics,
            listen.limits,
            pages.application,
            engine_thread,
            feedback,
        )
        resources.callback(app.close)
        server = UvicornServer(_config(app, listen))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.stop)
        tasks = [
            loop.create_task(_watch(champions, loader)),
            loop.create_task(_collect(journal, home, behind)),
            loop.create_task(_bind(home, behind)),
            loop.create_task(RolloutWatch(champions, home, disk_thread, labelled).run()),
            loop.create_task(_announce(server, listen, bound, started)),
        ]
        try:
            await server.serve(sockets=[bound])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # What came in the last seconds; the next server may start in a week.
            await _bind_now(home, behind)


async def _announce(
    server: UvicornServer, listen: Listen, bound: socket.socket, started: Callable[[str], None]
) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    scheme = "https" if listen.certificate else "http"
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    started(f"{scheme}://{host}:{bound.getsockname()[1]}")


async def _watch(champions: Champions, loader: Executor) -> None:
    """Follow the ledger: a new champion, a stop, a roll-back."""
    loop, told = asyncio.get_running_loop(), ""
    while True:
        await asyncio.sleep(_WATCH)
        try:
            if not champions.may_be_outdated():
                continue
            await loop.run_in_executor(loader, champions.refresh)
            told = ""
        except FactoryError as error:
            # A database may be away for hours.
            if str(error) != told:
                _LOG.error("the ledger cannot be read: %s", error)
            told = str(error)
        except Exception as error:  # noqa: BLE001
            # A server that no longer followed the ledger would serve what was stopped.
            if repr(error) != told:
                _LOG.exception("the ledger was not followed")
            told = repr(error)


async def _collect(journal: Journal, home: Home, behind: Executor) -> None:
    """Move what is logged from the journal to the database and the archive, and bind it."""
    loop = asyncio.get_running_loop()
    # Only that thread uses it.
    log, day = PredictionLog(home), None
    try:
        while True:
            await asyncio.sleep(_COLLECT)
            with _logged("the prediction log was not collected"):
                journal.roll(_SEAL)
                await loop.run_in_executor(behind, log.collect)
                if (today := datetime.now(UTC).date()) != day:
                    await loop.run_in_executor(behind, apply_retention, log, home, today)
                    day = today
    finally:
        behind.submit(log.close)


async def _bind(home: Home, behind: Executor) -> None:
    """Enter outcomes in the ledger, again and again."""
    while True:
        await asyncio.sleep(_COLLECT)
        await _bind_now(home, behind)


async def _bind_now(home: Home, behind: Executor) -> None:
    with _logged("outcomes were not entered in the ledger"):
        await asyncio.get_running_loop().run_in_executor(behind, bind_outcomes, home)


@contextmanager
def _logged(what: str) -> Iterator[None]:
    """Log a fault of the block, which is tried again a moment later."""
    try:
        yield
    except FactoryError as error:
        _LOG.error("%s: %s", what, error)
    except Exception:  # noqa: BLE001
        _LOG.exception(what)


def _config(app: PredictionApp, listen: Listen) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=limited(listen.limits),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=listen.limits.idle,
        timeout_graceful_shutdown=10,
        backlog=listen.limits.connections,
        ssl_certfile=listen.certificate,
        ssl_keyfile=listen.key,
    )


def _require_allowed(listen: Listen, tokens: Tokens) -> None:
    if listen.is_private:
        return
    missing = []
    if not tokens.required:
        missing.append("a token (factory token new --for NAME --pipelines ...)")
    if not listen.certificate and not listen.behind_proxy:
        missing.append("TLS (--tls-cert and --tls-key, or --behind-proxy)")
    if missing:
        raise RefusedError(
            f"{listen.host} can be reached from other machines"
            + " through the proxy" * listen.is_local,
            remedy=f"it needs {' and '.join(missing)}; without, serve on 127.0.0.1 and no proxy",
        )
