"""Whoever starts a run is in the ledger, and the run says so, also where Dagster would not."""

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from factory_assets.web.dagster.attribution import ACT_TAG, attribute_runs
from factory_resources.errors import RefusedError
from factory_resources.tracking.run_history import PERSON_TAG
from tests.factory_assets.web.dagster.conftest import Site

_SELECTOR = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "factory",
    "jobName": "apples",
}

_FORGED = [
    {"key": PERSON_TAG, "value": "Eve"},
    {"key": ACT_TAG, "value": "1"},
    {"key": "factory/retrain", "value": "drift"},
    {"key": "factory/process", "value": "1 0"},
    {"key": "factory/reuse", "value": "false"},
    {"key": "colour", "value": "red"},
]

_LAUNCH = """mutation M($params: ExecutionParams!) { x: launchPipelineExecution(
    executionParams: $params) { __typename ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message } } }"""


def _params(**others: Any) -> dict[str, Any]:
    return {
        "selector": {**_SELECTOR, "assetSelection": [{"path": ["apples", "ingest"]}]},
        "mode": "default",
        "executionMetadata": {"tags": _FORGED},
        **others,
    }


def _launched(site: Site) -> str:
    answer = site.ask("engineer", _LAUNCH, params=_params()).json()
    run: str = answer["data"]["x"]["run"]["runId"]
    return run


def _tags(run: str) -> Mapping[str, str]:
    with dg.DagsterInstance.get() as instance:
        found = instance.get_run_by_id(run)
        assert found
        return found.tags


def _last_act(site: Site) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
    number, act = list(site.acts().items())[-1]
    return number, act.operations, act.about


def _is_of(site: Site, tags: Mapping[str, str], number: int) -> None:
    assert (tags[PERSON_TAG], tags[ACT_TAG]) == ("Ann engineer", str(number))


def test_a_launched_run_carries_its_person_and_its_entry_whatever_the_request_claims(
    site: Site,
) -> None:
    tags = _tags(_launched(site))
    number, operations, about = _last_act(site)
    assert (operations, about) == (("launchPipelineExecution",), ("apples",))
    _is_of(site, tags, number)
    assert (tags["colour"], tags["factory/reuse"]) == ("red", "false")
    assert not {"factory/retrain", "factory/process"} & set(tags)


def test_each_of_several_runs_launched_together_carries_the_entry(site: Site) -> None:
    query = """mutation M($list: [ExecutionParams!]!) { launchMultipleRuns(
        executionParamsList: $list) { ... on LaunchMultipleRunsResult { launchMultipleRunsResult {
        ... on LaunchRunSuccess { run { runId } } } } } }"""
    answer = site.ask("engineer", query, list=[_params(), _params()]).json()
    results = answer["data"]["launchMultipleRuns"]["launchMultipleRunsResult"]
    number, *_ = _last_act(site)
    assert len(results) == 2
    for result in results:
        _is_of(site, _tags(result["run"]["runId"]), number)


def test_a_repeated_run_carries_the_entry_of_the_repetition(site: Site) -> None:
    parent = _launched(site)
    first, *_ = _last_act(site)
    query = """mutation { launchPipelineReexecution(reexecutionParams: {parentRunId: "%s",
        strategy: ALL_STEPS, extraTags: %s, useParentRunTags: true}) {
        ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
    forged = '[{key: "factory/person", value: "Eve"}]'
    answer = site.ask("engineer", query % (parent, forged)).json()
    run = answer["data"]["launchPipelineReexecution"]["run"]["runId"]
    number, operations, about = _last_act(site)
    assert number > first
    assert (operations, about) == (("launchPipelineReexecution",), ("apples", parent))
    _is_of(site, _tags(run), number)
    metadata = {"rootRunId": parent, "parentRunId": parent, "tags": _FORGED}
    query = _LAUNCH.replace("launchPipelineExecution", "launchPipelineReexecution")
    answer = site.ask("engineer", query, params=_params(executionMetadata=metadata)).json()
    number, _, about = _last_act(site)
    assert about == ("apples", parent)
    _is_of(site, _tags(answer["data"]["x"]["run"]["runId"]), number)


def test_a_repeated_retraining_stays_one(site: Site) -> None:
    parent = _launched(site)
    with dg.DagsterInstance.get() as instance:
        instance.add_run_tags(parent, {"factory/retrain": "drift"})
    metadata = {"rootRunId": parent, "parentRunId": parent, "tags": _FORGED}
    query = _LAUNCH.replace("launchPipelineExecution", "launchPipelineReexecution")
    answer = site.ask("engineer", query, params=_params(executionMetadata=metadata)).json()
    assert _tags(answer["data"]["x"]["run"]["runId"])["factory/retrain"] == "drift"


def test_backfills_carry_the_entry_when_started_resumed_and_repeated(site: Site) -> None:
    query = """mutation M($params: LaunchBackfillParams!) { launchPartitionBackfill(
        backfillParams: $params) { ... on LaunchBackfillSuccess { backfillId }
        ... on PythonError { message } } }"""
    selection = [{"path": ["apples", "ingest"]}]
    params = {"assetSelection": selection, "allPartitions": True, "tags": _FORGED}
    answer = site.ask("engineer", query, params=params).json()
    backfill = answer["data"]["launchPartitionBackfill"]["backfillId"]
    started, _, about = _last_act(site)
    assert about == ("apples",)
    with dg.DagsterInstance.get() as instance:
        found = instance.get_backfill(backfill)
        assert found
        _is_of(site, found.tags, started)
        assert "factory/retrain" not in found.tags
    site.ask("engineer", f'mutation {{ cancelPartitionBackfill(backfillId: "{backfill}")'
        " { __typename } }")  # fmt: skip
    site.ask("engineer", f'mutation {{ resumePartitionBackfill(backfillId: "{backfill}")'
        " { __typename } }")  # fmt: skip
    resumed, operations, about = _last_act(site)
    assert (operations, about) == (("resumePartitionBackfill",), (backfill,))
    with dg.DagsterInstance.get() as instance:
        found = instance.get_backfill(backfill)
        assert found
        _is_of(site, found.tags, resumed)
        instance.update_backfill(found.with_status(BulkActionStatus.CANCELED))
    answer = site.ask(
        "engineer",
        f"""mutation {{ reexecutePartitionBackfill(reexecutionParams: {{parentRunId: "{backfill}",
            strategy: ALL_STEPS}}) {{ ... on LaunchBackfillSuccess {{ backfillId }}
            ... on PythonError {{ message }} }} }}""",
    ).json()
    repeated, *_ = _last_act(site)
    with dg.DagsterInstance.get() as instance:
        found = instance.get_backfill(answer["data"]["reexecutePartitionBackfill"]["backfillId"])
        assert found
        _is_of(site, found.tags, repeated)


def test_a_run_of_nobody_cannot_be_stored_by_the_door(site: Site) -> None:
    launched = _launched(site)
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(launched)
        assert run
        attribute_runs(instance.run_storage)
        with pytest.raises(RefusedError, match="not known who starts this run"):
            instance.add_run(run)


def test_the_entry_names_runs_schedules_and_sensors_from_both_places(site: Site) -> None:
    run = _launched(site)
    site.ask("engineer", "mutation M($id: String!) { terminateRun(runId: $id) { __typename } }",
        id=run)  # fmt: skip
    assert _last_act(site)[1:] == (("terminateRun",), ("apples", run))
    inline = json.dumps([run, "unknown"])
    site.ask("engineer", f"mutation {{ terminateRuns(runIds: {inline}) {{ __typename }} }}")
    assert _last_act(site)[1:] == (("terminateRuns",), ("apples", run, "unknown"))
    site.ask(
        "engineer",
        """mutation { startSensor(sensorSelector: {repositoryName: "r",
        repositoryLocationName: "factory", sensorName: "apples_arrivals"}) { __typename } }""",
    )
    assert _last_act(site)[1:] == (("startSensor",), ("apples_arrivals",))


def test_many_runs_become_several_entries_and_too_many_are_refused(site: Site) -> None:
    query = "mutation M($ids: [String!]!) { terminateRuns(runIds: $ids) { __typename } }"
    before = len(site.acts())
    ids = [f"run-{number}" for number in range(60)]
    assert site.ask("engineer", query, ids=ids).status_code == 200
    acts = list(site.acts().values())[before:]
    assert [one for act in acts for one in act.about] == ids
    assert len(acts) == 2
    too_many = [f"run-{number}" for number in range(1_001)]
    assert site.ask("engineer", query, ids=too_many).status_code == 400
    assert len(site.acts()) == before + 2
