"""Fifty people leave a factory that is used, and no other tool finds any of them."""

import json
import shutil
from pathlib import Path

import pytest

from factory_assets.cli.up import serving_lock
from factory_resources.erasure.manifest import manifests
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from tests.commands import in_process
from tests.ledger import problems
from tests.pipelines import enter
from tests.plain_search import places
from tests.planted_people import WHERE, use_factory
from tests.serving import serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A factory that has trained, answered, learned outcomes, looked, failed and backed up."""
    root = tmp_path_factory.mktemp("used") / "root"
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        use_factory(root)
    return root


def test_nothing_of_fifty_people_is_found_afterwards(
    used: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(used, tmp_path / "root")
    enter(root, monkeypatch)
    home = Home(root / "home")
    before = places(home.path, tmp_path / "before")
    for part in ("tables/", "predictions", "dagster/", "watch/", "artifacts/visits", "pictures/"):
        assert any(path.startswith(part) for path in before), (part, sorted(before))
    runs = _runs(home)
    asked = ("forget", "--where", WHERE, "--reason", "request 2026-117")
    code, text = in_process(*asked, "--preview")
    assert "backups still have all of it, until you delete them:\n  made 2" in text
    code, text = in_process(*asked, "--yes")
    assert code == 0, text
    assert places(home.path, tmp_path / "after") == set()
    assert problems(home) == []
    assert _runs(home) == runs
    code, text = in_process("run", "people", "visits")
    assert code == 0, text
    assert places(home.path, tmp_path / "again") == set()
    assert problems(home) == []


def _runs(home: Home) -> dict[str, tuple[str, int]]:
    """Return status and number of events of each run, as Dagster reads them."""
    from dagster import DagsterInstance

    prepare(home)
    with DagsterInstance.get() as instance:
        runs = instance.get_runs()
        events = {run.run_id: instance.all_logs(run.run_id) for run in runs}
        for key in instance.all_asset_keys():
            assert json.dumps(repr(instance.get_latest_materialization_event(key)))
    assert {run.status.value for run in runs} == {"SUCCESS", "FAILURE"}
    return {run.run_id: (run.status.value, len(events[run.run_id])) for run in runs}


def test_what_serves_is_stopped_first(
    used: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(used, tmp_path / "root")
    enter(root, monkeypatch)
    home = Home(root / "home")
    asked = ("forget", "--where", WHERE, "--reason", "request 2026-117")
    with serving(home.path):
        code, text = in_process(*asked, "--yes")
        assert (code, "a prediction server is running; stop it first" in text) == (2, True), text
        assert in_process(*asked, "--preview")[0] == 0
    with serving_lock(home):
        code, text = in_process(*asked, "--yes")
        assert (code, "this factory is already running; stop it first" in text) == (2, True), text
    assert [*manifests(home)] == []
