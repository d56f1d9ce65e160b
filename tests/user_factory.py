"""A home and declarations of an ordinary user's, whose runs are inside a boundary."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.latest import value_of
from factory_assets.results.model import Candidate, Champion
from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.home.home import Home
from factory_resources.ledger.boundary_entries import BoundaryHeld
from factory_resources.ledger.entries import RunStarted
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from tests.ledger import ledger_entries
from tests.ordinary_user import USER, by_ordinary_user


class UserFactory:
    """A folder of the ordinary user's with a home and declarations."""

    def __init__(self, path: Path) -> None:
        self.path, self.home = path, Home(path / "home")
        self.variables = {"FACTORY_DEFS": str(path / "defs"), "FACTORY_HOME": str(self.home.path)}

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start `factory run` as the ordinary user."""
        command = [sys.executable, "-m", "factory_assets.cli", "run", *arguments]
        return subprocess.Popen(by_ordinary_user(command), env={**os.environ, **self.variables})

    def run(self, *arguments: str, by: Any = by_ordinary_user) -> subprocess.CompletedProcess[str]:
        return self.ask("run", *arguments, by=by)

    def ask(
        self, *arguments: str, by: Any = by_ordinary_user, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Call `factory` as the ordinary user and wait for its end."""
        return subprocess.run(
            by([sys.executable, "-m", "factory_assets.cli", *arguments]),
            env={**os.environ, **self.variables, **variables},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def boundaries(self) -> list[BoundaryHeld]:
        return [one for one in ledger_entries(self.home) if isinstance(one, BoundaryHeld)]

    def runs(self) -> list[RunStarted]:
        return [one for one in ledger_entries(self.home) if isinstance(one, RunStarted)]

    def digests(self) -> dict[tuple[str, str], str]:
        """Return the digest of each table, model and exported graph, by pipeline and stage."""
        with pytest.MonkeyPatch.context() as patch:
            # The ledger, which says what counts, may be on a server that the runs alone name.
            if server := self.variables.get(DATABASE_VARIABLE):
                patch.setenv(DATABASE_VARIABLE, server)
            return {(one.pipeline, one.stage): _digest(one) for one in Records(self.home).all()}


def _digest(record: Record) -> str:
    match value_of([record]):
        case Candidate() as candidate:
            return candidate.digest
        case EvaluationResult() as evaluated:
            return evaluated.predictions.data_version
        case Champion() as champion:
            return champion.onnx_sha256
        case other:
            return other.data_version


@contextmanager
def user_factory() -> Iterator[UserFactory]:
    """A folder that the ordinary user owns and can reach; pytest's own is closed to others."""
    path = Path(tempfile.mkdtemp(prefix="factory-sealed-"))
    os.chown(path, *USER)
    try:
        yield UserFactory(path)
    finally:
        shutil.rmtree(path)
