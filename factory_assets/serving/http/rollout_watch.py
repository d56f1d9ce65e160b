"""Share what this server saw of each roll-out, and follow the decision.

How a decision is made belongs in `execution.rollout_file`.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from factory_assets.execution.rollout import Ending, mirror_promotion
from factory_assets.execution.rollout_file import finish, share
from factory_resources.errors import FactoryError

if TYPE_CHECKING:
    import subprocess

    from factory_assets.execution.rollout_evidence import LabelledLosses
    from factory_assets.serving.http.champions import Champions
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

    async def run(self) -> None:
        """Look until it is cancelled."""
        while True:
            try:
                await self._look()
            except FactoryError as error:
                _LOG.error("the roll-outs were not compared: %s", error)
            except Exception:  # noqa: BLE001
                # A server that no longer compared would go on with a version that is worse.
                _LOG.exception("the roll-outs were not compared")
            await asyncio.sleep(_LOOK)

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        for trial in self._champions.trials:
            batch = trial.take()
            ending = await loop.run_in_executor(
                self._disk_thread, share, trial.rollout, batch, self._home, self._labelled
            )
            if ending is not None:
                # The ledger is read again a moment later; nobody gets the version until then.
                trial.has_ended = True
                name = f"{trial.challenger.pipeline}@{trial.challenger.version}"
                _LOG.info("%s was %s: %s", name, ending.outcome, ending.reason)
                await self._mirror(trial.challenger.pipeline)
        for rollout, why in [*self._champions.unusable.values()]:
            ending = Ending("rolled back", f"it cannot be loaded: {why}")
            await loop.run_in_executor(self._disk_thread, finish, rollout, ending, self._home)
        for name, served in [*self._champions.served.items()]:
            if self._mirrored.get(name) != served.version:
                # Whoever promoted it may have died before its alias followed.
                await self._mirror(name)
                self._mirrored[name] = served.version

    async def _mirror(self, pipeline: str) -> None:
        self._mirrors = [one for one in self._mirrors if one.poll() is None]
        mirror = await asyncio.get_running_loop().run_in_executor(
            self._disk_thread, mirror_promotion, pipeline, self._home
        )
        self._mirrors += [mirror] if mirror else []
