"""A home with a person in it, made once."""

import shutil
from pathlib import Path

import pytest

from tests.erasures import make_people
from tests.pipelines import enter


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("people") / "root"
    make_people(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which the environment names."""
    copied = tmp_path / "root"
    shutil.copytree(made, copied)
    enter(copied, monkeypatch)
    return copied
