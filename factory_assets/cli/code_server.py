"""Start Dagster's code server, and start it again if declarations change or somebody asks.

Python cannot load a module anew in the same process. Dagster's own `code-server start` keeps a
second process for that, which passes every question on; here a link leads from one to the next.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from factory_assets.declarations.folders import declared_files
from factory_assets.web.dagster.code_server import answers, reload_request
from factory_resources.errors import FactoryError
from factory_resources.interpreter import dagster_command

_PAUSE = 5.0
"""Seconds between two looks at the declarations; one that is being written is left alone."""

_PATIENCE = 60.0
"""Seconds in which a server loads the pipelines; one that takes longer may be given up."""

Start = Callable[[Sequence[str]], "subprocess.Popen[bytes]"]


class CodeServer:
    """The process that has loaded the pipelines, and the one that is to take its place.

    Args:
        path: where it is found: a link, which leads to the socket of the present process.
        start: starts a command.
        pause: seconds between two looks at the declarations.
        patience: seconds after which a server that does not answer may be given up.
    """

    def __init__(
        self, path: Path, start: Start, pause: float = _PAUSE, patience: float = _PATIENCE
    ) -> None:
        self._path, self._start, self._pause, self._patience = path, start, pause, patience
        self._number = 0
        self._next_look = 0.0
        self._has_answered = False
        self._loaded: list[tuple[str, int, int, int]] = []
        self._seen = self._loaded
        self.process = self._begin()
        self._next: subprocess.Popen[bytes] | None = None
        self._lead()

    def look(self) -> None:
        """Take the next step of a reload that is due; never waits.

        Raises:
            FactoryError: the folder of the socket was removed, and is another user's now.
        """
        request = reload_request(self._path)
        if self._next is None:
            if request.exists() or self._is_removed() or self._is_out_of_date():
                self._next = self._begin()
        elif self._next.poll() is not None:
            self._next = None
            request.unlink(missing_ok=True)
        elif answers(self._socket):
            self._lead()
            # It still answers what it was asked.
            self.process.terminate()
            self.process, self._next = self._next, None
            request.unlink(missing_ok=True)
        elif time.monotonic() - self._begun > self._patience and self._is_out_of_date():
            # It hangs, as in an `assets.py` that asks a server which is away.
            self._next.terminate()
            self._next = self._begin()

    def _is_removed(self) -> bool:
        """Whether the socket is gone, as after somebody has emptied `/tmp`, for a pause."""
        self._has_answered = self._has_answered or answers(self._path)
        is_there = not self._has_answered or self._path.exists()
        return not is_there and time.monotonic() - self._begun > self._pause

    def _is_out_of_date(self) -> bool:
        """Whether other pipelines are declared than were loaded, for longer than a pause."""
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + self._pause
        before = self._seen
        # A disk of the network may be away for a while: until then, what is loaded stays.
        with suppress(OSError):
            self._seen = declared_files()
            return self._seen == before != self._loaded
        return False

    @property
    def _socket(self) -> Path:
        """The socket of the process that was started last; a server removes its own at its end."""
        return self._path.with_suffix(f".{self._number}")

    def _begin(self) -> subprocess.Popen[bytes]:
        self._make_folder()
        self._number += 1
        self._begun = time.monotonic()
        self._seen = self._loaded = []
        with suppress(OSError):
            self._seen = self._loaded = declared_files()
        return self._start(command(self._socket))

    def _make_folder(self) -> None:
        folder = self._path.parent
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        if folder.lstat().st_uid != os.geteuid():
            raise FactoryError(
                "the folder of the code server's socket is another user's",
                where=str(folder),
                remedy="start factory up again",
            )

    def _lead(self) -> None:
        """Let the link lead to the process that was started last; there is always one."""
        link = self._path.with_suffix(".link")
        link.symlink_to(self._socket.name)
        link.replace(self._path)


def command(socket: Path) -> list[str]:
    """Return the command line of a server, which shows its mistakes rather than ending of them."""
    code = ["--module-name", "factory_assets.definitions", "--use-python-environment-entry-point"]
    code += ["--empty-working-directory", "--lazy-load-user-code"]
    address = ["--socket", str(socket), "--location-name", "factory"]
    return dagster_command("api", "grpc", *code, *address)
