"""Somebody else verifies a copy of a home: another user, with Python and `cryptography` alone."""

import importlib.metadata
import os
import shutil
import sqlite3
import subprocess
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from factory_resources.ledger import factory_verify
from tests.long_run import in_long
from tests.served_apples import enter_served

pytestmark = pytest.mark.slow

NOBODY = 65534


@dataclass(frozen=True)
class Stranger:
    """A machine on which only `cryptography` is installed, and a copy of a home."""

    machine: Path
    home: Path

    def python(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.machine / "bin" / "python", *arguments],
            cwd=self.machine,
            env={"PYTHONPATH": str(self.machine / "packages")},
            user=_user(),
            capture_output=True,
            text=True,
            check=False,
        )

    def verify(self) -> "subprocess.CompletedProcess[str]":
        return self.python("factory_verify.py", str(self.home))

    def path(self, pattern: str) -> Path:
        return sorted(self.home.glob(pattern))[0]


def _user() -> int | None:
    return NOBODY if os.geteuid() == 0 else None


def _create_python(folder: Path) -> None:
    """Create an environment in the folder; with the interpreter itself if others cannot run it."""
    venv.create(folder, with_pip=False, symlinks=True)
    try:
        subprocess.run([folder / "bin" / "python", "-c", ""], user=_user(), check=True)
    except PermissionError:
        (folder / "pyvenv.cfg").unlink()
        python = (folder / "bin" / "python").resolve()
        (folder / "bin" / "python").unlink()
        shutil.copy(python, folder / "bin" / "python")
        library = Path(sysconfig.get_path("stdlib"))
        shutil.copytree(
            library,
            folder / "lib" / library.name,
            ignore=shutil.ignore_patterns("site-packages", "test", "config-*"),
            dirs_exist_ok=True,
        )


def _install(name: str, folder: Path) -> None:
    """Copy an installed distribution and what it requires on every system."""
    distribution = importlib.metadata.distribution(name)
    for file in distribution.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(distribution.locate_file(file)), folder / file)


@pytest.fixture(scope="module")
def machine() -> Iterator[Path]:
    # pytest's own folders are closed to other users.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        _create_python(folder)
        for distribution in ("cryptography", "cffi", "pycparser"):
            _install(distribution, folder / "packages")
        shutil.copy(factory_verify.__file__, folder)
        yield folder


@pytest.fixture
def stranger(machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stranger]:
    """The machine with a copy of a home in which a champion serves."""
    made = enter_served(tmp_path, monkeypatch) / "home"
    copy = machine / "copy"
    shutil.copytree(made, copy, ignore=shutil.ignore_patterns("secrets"))
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    yield Stranger(machine, copy)
    shutil.rmtree(copy)


def test_a_stranger_has_nothing_of_the_factory(stranger: Stranger) -> None:
    for module in ("factory_resources", "pydantic", "dagster"):
        assert "ModuleNotFoundError" in stranger.python("-c", f"import {module}").stderr
    told = stranger.python("-c", "import os; print(os.getuid())").stdout
    assert int(told) == (NOBODY if os.geteuid() == 0 else os.getuid())


def test_a_copy_that_nobody_touched_holds(stranger: Stranger) -> None:
    done = stranger.verify()
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.endswith("all holds\n")


@pytest.mark.parametrize(
    "pattern",
    [
        "records/apples/clean/*.json",
        "tables/apples/ingest/*.parquet",
        "artifacts/apples/models/*/artifacts/weights.safetensors",
        "artifacts/apples/*/artifacts/origin/environment.json",
        *in_long(
            [
                "records/apples/latest/*.json",
                "tables/apples/clean/_delta_log/*0.json",
                "artifacts/apples/*/artifacts/onnx/model.onnx",
                "artifacts/apples/*/artifacts/origin/manifest.json",
            ]
        ),
    ],
)
def test_a_changed_file_is_named(stranger: Stranger, pattern: str) -> None:
    path = stranger.path(pattern)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done = stranger.verify()
    assert done.returncode == 1
    assert str(path.relative_to(stranger.home)) in done.stdout


@pytest.mark.parametrize(
    ("database", "statement"),
    [
        ("ledger.db", "DELETE FROM entry WHERE number = 3"),
        ("ledger.db", "INSERT INTO entry SELECT max(number) + 1, body FROM entry"),
        ("mlflow.db", "UPDATE registered_model_aliases SET version = 7"),
        *in_long(
            ("ledger.db", statement)
            for statement in (
                "DELETE FROM entry WHERE number = (SELECT max(number) FROM entry)",
                "UPDATE entry SET body = (SELECT body FROM entry WHERE number = 2) "
                "WHERE number = 3",
                "UPDATE head SET checkpoint = replace(checkpoint, 'factory.', 'other.')",
            )
        ),
    ],
)
def test_a_changed_database_is_found(stranger: Stranger, database: str, statement: str) -> None:
    changed = sqlite3.connect(stranger.home / database)
    with changed:
        for (trigger,) in changed.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'entry'"
        ).fetchall():
            changed.execute(f"DROP TRIGGER {trigger}")
        assert changed.execute(statement).rowcount
    changed.close()
    done = stranger.verify()
    assert done.returncode == 1, done.stdout
    assert "problem: " in done.stdout
