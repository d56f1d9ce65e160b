"""A home whose champion answers; each test gets a copy."""

from pathlib import Path

import pytest

from tests.watched import Watched, copy_watched, shared_watched


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return shared_watched(tmp_path_factory.mktemp("watched") / "made")


@pytest.fixture
def pumps(made: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return copy_watched(made, tmp_path / "factory", monkeypatch)
