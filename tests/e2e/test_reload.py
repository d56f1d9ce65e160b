"""A factory that is up loads pipelines anew: when they change, and when an engineer asks for it."""

import re
import shutil
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.pipelines import APPLES, declare, write_apples
from tests.running_factory import RunningFactory, ask_graphql
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

_ASSETS = "{assetNodes {assetKey {path}}}"
_RELOAD = """
mutation {reloadWorkspace {... on Workspace {locationEntries {
  locationOrLoadError {__typename}}}}}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the home and the declared pipelines are."""
    return tmp_path_factory.mktemp("reload")


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[RunningFactory]:
    """A factory whose home is made as it starts."""
    running = RunningFactory(folder / "home", {"FACTORY_DEFS": str(folder / "defs")})
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(up: RunningFactory) -> Iterator[httpx.Client]:
    with closing(up.enter()) as entered:
        yield entered


def add(folder: Path, name: str) -> None:
    write_apples(folder / "defs" / name)
    declare(folder / "defs" / name, APPLES)


def remove(folder: Path, name: str) -> None:
    shutil.rmtree(folder / "defs" / name)


def pipelines(client: httpx.Client) -> set[str]:
    return {one["assetKey"]["path"][0] for one in ask_graphql(client, _ASSETS)["assetNodes"]}


def children(up: RunningFactory, part: str) -> list[psutil.Process]:
    """Return the processes below the factory with some text in their command lines."""
    found = []
    for one in psutil.Process(up.process.pid).children(recursive=True):
        # It may end meanwhile.
        with suppress(psutil.NoSuchProcess):
            if part in " ".join(one.cmdline()):
                found.append(one)
    return found


def until_one_is_left(up: RunningFactory) -> psutil.Process:
    def only() -> list[psutil.Process]:
        found = children(up, "factory_assets.definitions")
        return found if len(found) == 1 else []

    return wait_until(only)[0]


def test_a_new_pipeline_is_there_after_a_reload(
    up: RunningFactory, client: httpx.Client, folder: Path
) -> None:
    # It has loaded what there is.
    assert pipelines(client)
    before = until_one_is_left(up)
    for name in ("apples", "pears"):
        add(folder, name)
        assert name not in pipelines(client)
        [entry] = ask_graphql(client, _RELOAD)["reloadWorkspace"]["locationEntries"]
        assert entry["locationOrLoadError"]["__typename"] == "RepositoryLocation"
        assert name in pipelines(client)
    assert until_one_is_left(up) != before


@pytest.mark.long
def test_a_pipeline_comes_and_goes_though_nobody_asks(
    up: RunningFactory, client: httpx.Client, folder: Path
) -> None:
    assert pipelines(client)
    for change, is_there in ((add, True), (remove, False)):
        change(folder, "plums")
        wait_until(lambda there=is_there: ("plums" in pipelines(client)) == there)


def test_its_processes_do_not_take_what_they_do_not_need(
    up: RunningFactory, client: httpx.Client
) -> None:
    path = "/mlflow/ajax-api/2.0/mlflow/runs/search"
    assert client.get("/").status_code == 200
    assert client.post(path, json={"experiment_ids": ["0"]}).status_code == 200
    [door] = children(up, "web.door")
    for process, absent in (
        (door, "numpy|pandas|pyarrow|scipy"),
        # It has made the databases of the home.
        (psutil.Process(up.process.pid), "numpy|pandas|sqlalchemy|grpc"),
    ):
        mapped = {one.path for one in process.memory_maps()}
        assert not [path for path in mapped if re.search(f"/({absent})/", path)]
