"""Dagster's view of the code server of `factory up`, without asking every second whether it is new.

What a visitor may do with it belongs in `workspace`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from dagster import DagsterInstance
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceLoadTarget

_LOOK = 1.0
"""Seconds between two looks at where the link leads."""


class UnwatchedWorkspace(WorkspaceProcessContext):
    """The workspace of a process.

    Args:
        code: the link to the socket of the code server; None if Dagster has started one.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        target: WorkspaceLoadTarget,
        code: Path | None,
        version: str = "",
    ) -> None:
        self._code = code
        self._loaded = code and _leads_to(code)
        super().__init__(instance, target, version=version)

    def refresh_workspace(self) -> None:
        """Load what the code server has, unless that is loaded: it loads the pipelines once.

        Dagster's daemon asks for it every minute, a fifth of what an idle one costs.
        """
        present = self._code and _leads_to(self._code)
        entries = self.get_current_workspace().code_location_entries.values()
        if present and present == self._loaded and all(one.code_location for one in entries):
            return
        super().refresh_workspace()
        self._loaded = present

    def _start_watch_thread(self, origin: GrpcServerCodeLocationOrigin) -> None:
        """Start none: where the link leads says the same, and costs a hundredth of the CPU."""
        if self._code is None:
            super()._start_watch_thread(origin)


@contextmanager
def following(workspace: WorkspaceProcessContext, code: Path) -> Iterator[None]:
    """Let a workspace take what another code server has loaded, soon after it is there."""
    known = _leads_to(code)

    def look() -> None:
        nonlocal known
        if (present := _leads_to(code)) not in {known, None}:
            workspace.refresh_workspace()
            known = present

    with repeatedly(look, _LOOK, name="code-server"):
        yield


@contextmanager
def repeatedly(look: Callable[[], None], pause: float, *, name: str) -> Iterator[None]:
    """Call a function after every pause, in a thread of its own.

    Args:
        pause: in seconds.
        name: that of the thread.
    """
    stop = Event()

    def work() -> None:
        while not stop.wait(pause):
            look()

    thread = Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _leads_to(code: Path) -> str | None:
    """Return where the link leads; None if somebody has removed it: soon there is another."""
    try:
        return os.readlink(code)
    except OSError:
        return None
