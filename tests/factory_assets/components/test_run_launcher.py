"""The launcher finds the pipelines of a run, by its assets or by its job."""

import dagster as dg
import pytest

from factory_assets.components.run_launcher import pipelines_in

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
