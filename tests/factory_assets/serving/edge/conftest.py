"""A factory with a champion, and a Python without the factory; each made once."""

from pathlib import Path

import pytest

from tests.factory_assets.serving.edge.cases import Factory, bare_python, make_factory


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    return make_factory(tmp_path_factory.mktemp("pumps"))


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_python(tmp_path_factory.mktemp("bare"))
