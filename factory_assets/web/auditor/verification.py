"""Verify the whole home for an auditor, one at a time, in a process of its own.

What is verified belongs in `factory_resources.ledger.factory_verify`.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from factory_assets.declarations.settings import policy_file
from factory_resources.errors import FactoryError, StorageError, UnknownNameError
from factory_resources.home.home import PROJECT, Home, storage_errors
from factory_resources.interpreter import module_command
from factory_resources.ledger.factory_verify import Finding

_PATIENCE = 3.0
"""Seconds for which a page waits for a verification that it began."""

_PROBLEMS = 200
"""Problems that are shown."""


@dataclass(frozen=True)
class VerificationResult:
    """What came of a verification."""

    began: str
    """UTC, ISO 8601."""
    ended: str
    holds: bool
    problems: tuple[str, ...]
    checked: tuple[tuple[str, int], ...]
    """What was compared, and how much of it."""
    notes: tuple[str, ...]
    checkpoint: str
    """The note that it was verified against; empty if that could not be read."""
    more: int = 0
    """How many problems there are beside these."""


@dataclass(frozen=True)
class VerificationState:
    """What the page shows."""

    running_since: str
    """UTC, ISO 8601; empty if none runs."""
    last: VerificationResult | None
    failure: str
    """Why the last one has no result; empty if it has one."""


class Verifications:
    """The verifications of one home; may be used by several threads. The last result is stored."""

    def __init__(self, home: Home) -> None:
        self._home, self._lock = home, threading.Lock()
        self._thread: threading.Thread | None = None
        self._since = self._failure = ""

    def begin(self) -> None:
        """Begin one unless one runs, and wait for a short while."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._since = _now()
                self._thread = threading.Thread(target=self._run, name="verification", daemon=True)
                self._thread.start()
            thread = self._thread
        thread.join(timeout=_PATIENCE)

    def state(self) -> VerificationState:
        """Return what runs, and what came of the last one.

        Raises:
            StorageError: the stored result cannot be read.
        """
        with self._lock:
            runs = self._thread is not None and self._thread.is_alive()
            since = self._since if runs else ""
            return VerificationState(since, self.last(), self._failure)

    def last(self) -> VerificationResult | None:
        """Return what came of the last one; None if there was none.

        Raises:
            StorageError: the stored result cannot be read.
        """
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(VerificationResult).validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise StorageError(
                "the result of the last verification cannot be read",
                where=str(self._file),
                remedy="remove the file, and verify again",
            ) from error

    def content(self) -> bytes:
        """Return the result of the last verification as JSON.

        Raises:
            UnknownNameError: there was none.
        """
        try:
            return self._file.read_bytes()
        except FileNotFoundError as error:
            what = "nothing was verified here yet"
            raise UnknownNameError(what, remedy="press the button of that page") from error

    @property
    def _file(self) -> Path:
        return self._home.tmp / "verification.json"

    def _run(self) -> None:
        from pydantic import TypeAdapter

        try:
            result = self._verified()
            self._home.write_atomic(self._file, TypeAdapter(VerificationResult).dump_json(result))
            self._failure = ""
        except FactoryError as error:
            self._failure = str(error)

    def _verified(self) -> VerificationResult:
        began = self._since
        with self._home.scratch() as scratch:
            kept = scratch / "checkpoint"
            words = ["verify", "--json", "--keep", str(kept)]
            if policy := policy_file():
                words += ["--policy", str(policy)]
            done = run_factory(words, self._home)
            checkpoint = kept.read_text() if kept.is_file() else ""
        try:
            said: dict[str, Any] = json.loads(done.stdout)
        except ValueError as error:
            # It found nothing out: neither that all holds, nor that anything does not.
            lines = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
            what = lines[-1].removeprefix("error: ")
            raise FactoryError(what, remedy="in a terminal: factory verify") from error
        problems = tuple(_text(one) for one in said.get("problems", ()))
        return VerificationResult(
            began,
            _now(),
            done.returncode == 0 and not problems,
            problems[:_PROBLEMS],
            tuple((str(name), int(many)) for name, many in said.get("checked", {}).items()),
            tuple(_text(one) for one in said.get("notes", ())),
            checkpoint,
            max(0, len(problems) - _PROBLEMS) + int(said.get("unlisted_problems", 0)),
        )


def run_factory(words: list[str], home: Home) -> subprocess.CompletedProcess[str]:
    """Run `factory` with these arguments for a home, in a process of its own."""
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH", "")]))
    with storage_errors(home.path):
        return subprocess.run(
            module_command("factory_assets.cli", *words),
            env={**os.environ, "FACTORY_HOME": str(home.path), "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def _text(one: Any) -> str:
    """Return a finding as `factory verify` prints it; one that is text already as it is."""
    return str(Finding(**one)) if isinstance(one, dict) else str(one)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
