"""The application as a whole."""

from tests.factory_assets.web.dagster.conftest import Site


def test_everybody_reads_the_pipelines(site: Site) -> None:
    answer = site.ask("auditor", "{ assetNodes { assetKey { path } } }")
    assert answer.status_code == 200
    paths = [node["assetKey"]["path"] for node in answer.json()["data"]["assetNodes"]]
    assert ["apples", "train"] in paths
