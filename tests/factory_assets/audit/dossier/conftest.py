"""A home with two versions, made once for the tests of dossiers."""

import pytest

from tests.approvals import Factory
from tests.factory_assets.audit.dossier.homes import make_home
from tests.shared_homes import made_once


@pytest.fixture(scope="package")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    root = tmp_path_factory.mktemp("dossier") / "root"
    made_once("dossier", root, make_home)
    return Factory(root)
