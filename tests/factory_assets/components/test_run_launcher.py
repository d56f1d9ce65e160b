"""The launcher finds the pipelines of a run, by its assets or by its job."""

from pathlib import Path

import dagster as dg
import pytest

from factory_assets.components.run_launcher import boundary_command, pipelines_in
from factory_resources.errors import DeclarationError
from factory_resources.home.home import Home
from tests.pipelines import APPLES, declare

KEY = dg.AssetKey(["apples", "train"])


@pytest.mark.parametrize(
    ("run", "names", "looks"),
    [
        (dg.DagsterRun(job_name="apples"), {"apples"}, False),
        (dg.DagsterRun(job_name="apples_monitor"), {"apples", "apples_monitor"}, True),
        (
            dg.DagsterRun(job_name="__ASSET_JOB", asset_selection=frozenset({KEY})),
            {"apples"},
            False,
        ),
        (
            dg.DagsterRun(
                job_name="__ASSET_JOB",
                asset_selection=frozenset({KEY, dg.AssetKey(["pears", "monitor"])}),
            ),
            {"apples", "pears"},
            True,
        ),
        (
            dg.DagsterRun(
                job_name="__ASSET_JOB",
                asset_check_selection=frozenset({dg.AssetCheckKey(KEY, "rows")}),
            ),
            {"apples"},
            False,
        ),
    ],
)
def test_pipelines_of_a_run(run: dg.DagsterRun, names: set[str], looks: bool) -> None:
    assert pipelines_in(run) == (names, looks)


def test_a_pipeline_may_be_called_like_looks_at_one_that_nobody_watches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    declare(tmp_path / "apples_monitor", APPLES)
    run = dg.DagsterRun(job_name="apples_monitor")
    (tmp_path / "apples").mkdir()
    for broken in ("", "type: nothing"):
        (tmp_path / "apples" / "defs.yaml").write_text(broken)
        assert pipelines_in(run) == ({"apples_monitor"}, False)
    declare(tmp_path / "apples", APPLES)
    assert pipelines_in(run) == ({"apples_monitor"}, False)
    declare(tmp_path / "apples", {**APPLES, "watch": {}})
    assert pipelines_in(run) == ({"apples", "apples_monitor"}, True)


@pytest.mark.parametrize("job", ["pears", "pears_monitor"])
def test_a_run_whose_pipeline_was_removed_while_it_waited_says_so(
    job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    run, home = dg.DagsterRun(job_name=job), Home(tmp_path / "home")
    with pytest.raises(DeclarationError, match=r"there is no pipeline 'pears' any more"):
        boundary_command(run, ["python"], home)
    declare(tmp_path / "defs" / "pears", {**APPLES, "watch": {}})
    assert boundary_command(run, ["python"], home)
