"""Make the files about a version to take home, one at a time.

What they contain belongs in `factory_assets.audit`: in `evidence` and in `dossier`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from factory_assets.web.auditor.computing_turns import ComputingTurns
from factory_assets.web.auditor.verification import run_factory
from factory_resources.errors import UnexpectedError, UnknownNameError
from factory_resources.home.home import Home, scratch_prefix

_COMMANDS: Mapping[str, Sequence[str]] = {
    "evidence.zip": ("evidence",),
    "dossier.pdf": ("dossier", "--format", "pdf"),
    "dossier.html": ("dossier", "--format", "html"),
    "dossier.json": ("dossier", "--format", "json"),
}
"""The command that makes each file."""

_NO_REMEDY = "factory verify shows what does not hold"

VERSION_FILES = tuple(_COMMANDS)
"""The names of the files about a version."""


@dataclass(frozen=True)
class VersionFile:
    """A file in a folder of its own."""

    path: Path

    def remove(self) -> None:
        """Remove it, once it was sent."""
        shutil.rmtree(self.path.parent, ignore_errors=True)


class VersionFileResponse(FileResponse):
    """Sends a file and removes it, also if it is not sent: a part may be asked for in vain."""

    def __init__(self, made: VersionFile, name: str) -> None:
        super().__init__(made.path, filename=name, headers={"cache-control": "no-store"})
        self._made = made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._made.remove()


@dataclass(frozen=True)
class VersionFileMaker:
    """Makes the files of one home; may be used by several threads."""

    home: Home
    _turns: ComputingTurns = field(
        default_factory=lambda: ComputingTurns("another file is being made", 30)
    )

    def make(self, version: str, file: str) -> VersionFile:
        """Return a file about a version; the caller removes it.

        Args:
            version: such as `loans@3`.
            file: one of `VERSION_FILES`.

        Raises:
            StorageError: another one is still being made.
            UnknownNameError: it cannot be made; the message says why.
        """
        with self._turns.turn():
            self.home.require_writable()
            folder = Path(tempfile.mkdtemp(prefix=scratch_prefix(), dir=self.home.tmp))
            made = VersionFile(folder / file)
            command = [*_COMMANDS[file], version, "--out", str(made.path)]
            done = run_factory(command, self.home)
        # A dossier with a damaged record is written, and the command ends with 1.
        if done.returncode > 1 or not made.path.is_file():
            made.remove()
            raise _why(done.returncode, done.stderr)
        return made


def _why(code: int, said: str) -> UnknownNameError | UnexpectedError:
    line = (said.strip().splitlines() or ["it ended without a message"])[-1]
    kind = UnexpectedError if code == UnexpectedError.exit_code else UnknownNameError
    # A command says itself what to do.
    what, _, remedy = line.removeprefix("error: ").rpartition("; ")
    return kind(what, remedy=remedy) if what else kind(remedy, remedy=_NO_REMEDY)
