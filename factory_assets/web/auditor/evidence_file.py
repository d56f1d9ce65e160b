"""Make the evidence about a version to take home, one archive at a time.

What it contains belongs in `factory_assets.audit.evidence`.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from factory_assets.web.auditor.verification import run_factory
from factory_resources.errors import StorageError, UnexpectedError, UnknownNameError
from factory_resources.home.home import Home, scratch_prefix

_PATIENCE = 30.0
"""Seconds for which one waits for another."""


@dataclass(frozen=True)
class EvidenceFile:
    """An archive in a folder of its own."""

    path: Path

    def remove(self) -> None:
        """Remove it, once it was sent."""
        shutil.rmtree(self.path.parent, ignore_errors=True)


@dataclass(frozen=True)
class EvidenceMaker:
    """Makes archives of one home; may be used by several threads."""

    home: Home
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def make(self, name: str) -> EvidenceFile:
        """Return the archive about a version; the caller removes it.

        Raises:
            StorageError: another one is still being made.
            UnknownNameError: it cannot be made; the message says why.
        """
        if not self._lock.acquire(timeout=_PATIENCE):
            raise StorageError("another archive is being made", remedy="try again in a minute")
        try:
            self.home.require_writable()
            folder = Path(tempfile.mkdtemp(prefix=scratch_prefix(), dir=self.home.tmp))
            made = EvidenceFile(folder / "evidence.zip")
            done = run_factory(["evidence", name, "--out", str(made.path)], self.home)
        finally:
            self._lock.release()
        if done.returncode:
            made.remove()
            raise _why(done.returncode, done.stderr)
        return made


def _why(code: int, said: str) -> UnknownNameError | UnexpectedError:
    line = (said.strip().splitlines() or ["it ended without a word"])[-1]
    kind = UnexpectedError if code == UnexpectedError.exit_code else UnknownNameError
    return kind(line.removeprefix("error: "), remedy="factory verify tells what does not hold")
