"""Answer while a new version rolls out: by the new version, by the champion, or by both.

Which caller gets which version is decided in `served_rollout`, what follows from it in `execution`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import TYPE_CHECKING

from factory_assets.serving.http.call import Call
from factory_assets.serving.http.errors import HttpError
from factory_assets.serving.http.records import shadow_record
from factory_assets.serving.http.served_rollout import ServedRollout, caller_key
from factory_assets.serving.http.shadow import ShadowAnswer, shadow_answer
from factory_resources.errors import FactoryError, StorageError

if TYPE_CHECKING:
    from factory_assets.serving.http.metrics import Metrics
    from factory_assets.serving.http.shadow import Reading
    from factory_resources.prediction_log.ids import PredictionIds

    Answer = tuple[bytes, dict[bytes, bytes]]
    Answering = Callable[[Call], Awaitable[Answer]]

_LOG = logging.getLogger("factory.serve")

_WAITING, _WAITING_BYTES = 64, 16 << 20
"""Requests, and bytes of their bodies, that wait to be computed by a shadow; more are left out, and
counted."""

_NOT_ITS_FAULT = frozenset({"overload", "too_large", "timeout"})
"""Errors that say nothing about a version."""


class AnswersBeside:
    """Answers requests of pipelines with a roll-out; used from the event loop.

    Args:
        answer: answers a call by its version, durably.
        remember: logs that a version did not answer, durably.
        write: logs a record under an id, durably.
        read: returns the rows of a request, as its version reads them.
        engine_thread: the thread in which engines are used.
    """

    def __init__(
        self,
        answer: Answering,
        remember: Callable[[Call, HttpError], Awaitable[None]],
        write: Callable[[bytes, bytes], Awaitable[None]],
        ids: PredictionIds,
        metrics: Metrics,
        read: Reading,
        engine_thread: Executor,
    ) -> None:
        self._answer, self._remember, self._write = answer, remember, write
        self._ids, self._metrics, self._read = ids, metrics, read
        self._engine_thread = engine_thread
        self._waiting: deque[tuple[ServedRollout, Call]] = deque()
        self._shadowing: asyncio.Task[None] | None = None

    async def answer(self, trial: ServedRollout, call: Call) -> Answer:
        """Answer a call to a champion.

        Raises:
            HttpError: no version answers it.
        """
        if not trial.is_canary:
            answered = await self._answer(call)
            self._shadow(trial, call)
            return answered
        if trial.gives_new_version(caller_key(call.caller, call.headers)):
            return await self._try(trial, call)
        answered = await self._answer(call)
        trial.champion_answered(call.seconds)
        return answered

    async def _try(self, trial: ServedRollout, call: Call) -> Answer:
        """Answer by the new version; by the champion if the new one does not, and it does."""
        asked = replace(call, served=trial.challenger, role="challenger")
        try:
            answered = await self._answer(asked)
        except StorageError:
            raise
        except Exception as fault:
            error = _as_error(fault)
            if error.kind in _NOT_ITS_FAULT:
                raise
            answered = await self._answer(call)
            trial.failed()
            await self._remember(asked, error)
            self._metrics.refused(error)
            return answered
        trial.answered(asked.seconds)
        return answered

    def close(self) -> None:
        """Compute no more shadows."""
        if self._shadowing:
            self._shadowing.cancel()

    def _shadow(self, trial: ServedRollout, call: Call) -> None:
        size = len(call.body) + sum(len(one.body) for _, one in self._waiting)
        if len(self._waiting) >= _WAITING or size > _WAITING_BYTES:
            self._metrics.shadowed(call, "dropped")
            return
        self._waiting.append((trial, call))
        if self._shadowing is None or self._shadowing.done():
            self._shadowing = asyncio.get_running_loop().create_task(self._work_off())

    async def _work_off(self) -> None:
        """Compute what waits, one request after the other, so that the engines stay free."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            trial, call = self._waiting.popleft()
            if trial.has_ended:
                continue
            try:
                found = await loop.run_in_executor(
                    self._engine_thread, shadow_answer, trial.challenger, call, self._read
                )
                if found is not None:
                    await self._compare(trial, call, found)
            except FactoryError as error:
                _LOG.error("a shadow was not logged: %s", error)
            except Exception:  # noqa: BLE001
                # It concerns no caller.
                _LOG.exception("a shadow was not computed")

    async def _compare(self, trial: ServedRollout, call: Call, found: ShadowAnswer) -> None:
        record = shadow_record(call, trial.challenger, found.result, found.seconds)
        await self._write(self._ids.take(found.asked), record)
        if isinstance(found.result, str):
            trial.failed()
            self._metrics.shadowed(call, "failed")
            return
        trial.answered(found.seconds)
        trial.champion_answered(found.champion_seconds)
        trial.compared(found.rows, found.different)
        self._metrics.shadowed(call, "compared")


def _as_error(fault: Exception) -> HttpError:
    if isinstance(fault, HttpError):
        return fault
    _LOG.error("the new version failed", exc_info=fault)
    return HttpError(500, "fault", "a fault of the new version", "its log has the details")
