"""A factory with a person in its tables, made once."""

from pathlib import Path

import pytest

from tests.erasures import copied, make_people


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("people") / "root"
    make_people(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which the environment names."""
    return copied(made, tmp_path / "root", monkeypatch)
