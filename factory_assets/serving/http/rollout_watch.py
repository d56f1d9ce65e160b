"""Share what this server saw of each roll-out, and follow the decision.

How a decision is made belongs in `execution.rollout_file`.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from factory_assets.execution.rollout import Ending, Rollout, mirror_promotion
from factory_assets.execution.rollout_file import finish, share
from factory_resources.errors import FactoryError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Coroutine

    from factory_assets.execution.rollout_evidence import LabelledLosses
    from factory_assets.serving.http.champions import Champions
    from factory_assets.serving.http.served_rollout import ServedRollout
    from factory_resources.home.home import Home


_LOOK = 0.5
"""Seconds between two looks."""

_LOG = logging.getLogger("factory.serve")


class RolloutWatch:
    """Looks at all roll-outs of one server, from its event loop.

    Args:
        disk_thread: a thread that may wait for the disk.
        labelled: returns the losses of answers whose truth is known, if anything knows it.
    """

    def __init__(
        self,
        champions: Champions,
        home: Home,
        disk_thread: Executor,
        labelled: LabelledLosses | None = None,
    ) -> None:
        self._champions, self._home, self._disk_thread = champions, home, disk_thread
        self._labelled = labelled
        self._mirrored: dict[str, int] = {}
        self._mirrors: list[subprocess.Popen[bytes]] = []
        self._told: dict[tuple[str, str], str] = {}

    async def run(self) -> None:
        """Look until it is cancelled."""
        while True:
            await self._look()
            await asyncio.sleep(_LOOK)

    async def _look(self) -> None:
        for trial in self._champions.trials:
            await self._apart("roll-out", trial.challenger.pipeline, self._compare(trial))
        for name, (rollout, why) in [*self._champions.unusable.items()]:
            await self._apart("new version", name, self._end(rollout, why))
        for name, served in [*self._champions.served.items()]:
            await self._apart("alias", name, self._follow(name, served.version))

    async def _apart(self, what: str, pipeline: str, look: Coroutine[None, None, None]) -> None:
        """Look at one pipeline; a fault is logged once, and keeps nobody from the others."""
        try:
            await look
            self._told.pop((what, pipeline), None)
        except Exception as error:  # noqa: BLE001
            # A server that no longer compared would go on with a version that is worse.
            if self._told.get((what, pipeline)) != repr(error):
                known = isinstance(error, FactoryError)
                line = "the %s of %s was not looked at: %s"
                _LOG.error(line, what, pipeline, error, exc_info=None if known else error)
            self._told[what, pipeline] = repr(error)

    async def _compare(self, trial: ServedRollout) -> None:
        ending = await asyncio.get_running_loop().run_in_executor(
            self._disk_thread, share, trial.rollout, trial.take(), self._home, self._labelled
        )
        if ending is not None:
            # The ledger is read again a moment later; nobody gets the version until then.
            trial.has_ended = True
            name = f"{trial.challenger.pipeline}@{trial.challenger.version}"
            _LOG.info("%s was %s: %s", name, ending.outcome, ending.reason)
            await self._mirror(trial.challenger.pipeline)

    async def _end(self, rollout: Rollout, why: str) -> None:
        ending = Ending("rolled back", f"it cannot be loaded: {why}")
        await asyncio.get_running_loop().run_in_executor(
            self._disk_thread, finish, rollout, ending, self._home
        )

    async def _follow(self, pipeline: str, version: int) -> None:
        if self._mirrored.get(pipeline) != version:
            # Whoever promoted it may have died before its alias followed.
            await self._mirror(pipeline)
            self._mirrored[pipeline] = version

    async def _mirror(self, pipeline: str) -> None:
        self._mirrors = [one for one in self._mirrors if one.poll() is None]
        mirror = await asyncio.get_running_loop().run_in_executor(
            self._disk_thread, mirror_promotion, pipeline, self._home
        )
        self._mirrors += [mirror] if mirror else []
