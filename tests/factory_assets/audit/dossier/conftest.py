"""A home with two versions, made once for the tests of dossiers."""

import pytest

from tests.approvals import Factory
from tests.factory_assets.audit.dossier.homes import make_home


@pytest.fixture(scope="package")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    return make_home(tmp_path_factory.mktemp("dossier") / "root")
