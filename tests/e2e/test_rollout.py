"""A new version beside the champion, in real servers under load.

Whatever the new version does: every caller is answered, by the version that the answer names.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

from factory_assets.execution.rollout_file import read_evidence, rollout_file
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tracking.registry import Registry
from tests import approvals
from tests.approvals import Factory
from tests.ledger import problems
from tests.rollouts import begin_rollout, champion, endings, goes_on
from tests.serving import PredictionServer, serving, start
from tests.serving_load import load, require_logged, require_right
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

ROW = {"size": 3.5, "colour": "red"}


@pytest.fixture
def made(trained: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    """A copy of `trained` for one test."""
    return approvals.copy_factory(trained, tmp_path / "factory", monkeypatch)


def versions(server: PredictionServer) -> list[str]:
    found: list[str] = server.ask("/v2/models/apples").json["versions"]
    return found


def test_a_good_version_is_promoted_under_load(made: Factory) -> None:
    rollout = begin_rollout(made, seconds=3, answers=50)
    with serving(made.home.path) as server, load(server, clients=3) as running:
        wait_until(lambda: versions(server) == ["1", "2"])
        wait_until(lambda: champion(made.home) == 2)
        wait_until(lambda: versions(server) == ["2"])
        after = len(running.answers)
        wait_until(lambda: len(running.answers) > after + 150)
        wait_until(lambda: Registry(made.home).alias("apples") == 2)
    assert running.broken == running.refusals == []
    assert {answer.version for answer in running.answers} == {1, 2}
    assert {answer.version for answer in running.answers[after + 100 :]} == {2}
    require_right(made.home, running.answers)
    require_logged(made.home, running.answers)
    [ended] = endings(made.home, rollout)
    assert ended.outcome == "promoted"
    assert ended.counts.answers >= 50
    assert problems(made.home) == []


def test_a_version_that_fails_is_rolled_back_and_no_caller_sees_it(made: Factory) -> None:
    rollout = begin_rollout(made)
    code = "from tests.serving_faults import fail_by\nfail_by(2, 4)"
    with serving(made.home.path, code=code) as server, load(server, clients=3) as running:
        wait_until(lambda: endings(made.home, rollout))
        wait_until(lambda: versions(server) == ["1"])
        after = len(running.answers)
        wait_until(lambda: len(running.answers) > after + 150)
    assert running.broken == running.refusals == []
    assert {answer.version for answer in running.answers} == {1, 2}
    assert {answer.version for answer in running.answers[after + 100 :]} == {1}
    require_right(made.home, running.answers)
    require_logged(made.home, running.answers)
    [ended] = endings(made.home, rollout)
    assert ended.outcome == "rolled back"
    assert 0 < ended.counts.failures < ended.counts.answers
    assert ended.reason is not None
    assert "did not answer" in ended.reason
    assert champion(made.home) == 1
    assert problems(made.home) == []


@pytest.mark.long
def test_a_slow_version_is_rolled_back(made: Factory) -> None:
    rollout = begin_rollout(made, share="5%")
    code = "from tests.serving_faults import slow_down\nslow_down(2, 0.3)"
    with serving(made.home.path, code=code) as server, load(server, clients=3) as running:
        wait_until(lambda: endings(made.home, rollout), seconds=120)
    assert running.broken == running.refusals == []
    [ended] = endings(made.home, rollout)
    assert ended.outcome == "rolled back"
    assert "answers for longer than" in str(ended.reason)


def test_a_version_that_outcomes_prove_wrong_is_rolled_back(made: Factory) -> None:
    rollout = begin_rollout(made, share="50%")
    with serving(made.home.path) as server:
        wait_until(lambda: versions(server) == ["1", "2"])
        for part in range(40):
            row = {"size": 0.3 + part % 6, "colour": "red"}
            answers = [server.ask("/predict/apples", row).json for _ in range(5)]
            other = {"good": "bad", "bad": "good"}
            sent = [
                {
                    "id": answer["id"],
                    "outcome": other[answer["prediction"]]
                    if answer["version"] == 2
                    else answer["prediction"],
                }
                for answer in answers
            ]
            reply = server.ask("/feedback", sent)
            assert reply.status == 200, reply.body
            if endings(made.home, rollout):
                break
        # Answers are compared as soon as they have left the journal.
        wait_until(lambda: endings(made.home, rollout), seconds=60)
    [ended] = endings(made.home, rollout)
    assert ended.outcome == "rolled back"
    assert "it was wrong more often" in str(ended.reason)
    assert champion(made.home) == 1


def test_a_caller_stays_with_one_version(made: Factory) -> None:
    begin_rollout(made, share="30%")
    with serving(made.home.path) as server:
        got = {
            caller: {
                server.ask("/predict/apples", ROW, headers={"x-caller": caller}).json["version"]
                for _ in range(3)
            }
            for caller in (f"machine {number}" for number in range(60))
        }
        # Nothing tells who asks: each request is a caller of its own.
        drawn = Counter(server.ask("/predict/apples", ROW).json["version"] for _ in range(60))
        named = [
            server.ask(f"/v2/models/apples/versions/{version}/infer", _TENSORS)
            for version in (1, 2, 2, 3)
        ]
    assert all(len(found) == 1 for found in got.values())
    chosen = Counter(version for [version] in got.values())
    assert 8 <= chosen[2] <= 30
    assert 5 <= drawn[2] <= 35
    assert [reply.status for reply in named] == [200, 200, 200, 404]
    assert [reply.json.get("model_version") for reply in named] == ["1", "2", "2", None]


_TENSORS = {
    "inputs": [
        {"name": "size", "shape": [1], "datatype": "FP64", "data": [3.5]},
        {"name": "colour", "shape": [1], "datatype": "BYTES", "data": ["red"]},
    ]
}


def test_a_shadow_computes_what_the_champion_answers_and_nobody_gets_it(made: Factory) -> None:
    rollout = begin_rollout(made, "shadow", seconds=3, answers=30)
    with serving(made.home.path) as server:
        assert versions(server) == ["1"]
        assert server.ask("/v2/models/apples/versions/2").status == 404
        with load(server, clients=2) as running:
            wait_until(lambda: endings(made.home, rollout))
        wait_until(lambda: Registry(made.home).alias("apples") == 2)
        text = server.ask("/metrics").body.decode()
    assert running.broken == running.refusals == []
    before = [answer for answer in running.answers if answer.version == 1]
    require_right(made.home, running.answers)
    require_logged(made.home, before)
    shadows = _shadows(made)
    assert {record["version"] for record in shadows} == {2}
    assert {record["shadow_of"] for record in shadows} <= {answer.id for answer in before}
    assert len({record["shadow_of"] for record in shadows}) == len(shadows) >= 30
    assert 'factory_shadows_total{pipeline="apples",result="compared"}' in text
    [ended] = endings(made.home, rollout)
    assert ended.outcome == "promoted"
    assert ended.counts.rows >= ended.counts.answers >= 30
    assert problems(made.home) == []


def _shadows(made: Factory) -> list[dict[str, object]]:
    with PredictionLog(made.home) as log:
        log.collect()
        rows = log.database.run("SELECT id FROM prediction WHERE version = 2 ORDER BY id")
        found = [log.find(bytes(row[0]).hex()) for row in rows]
    records = [one.record for one in found if one is not None and one.record.kind == "shadow"]
    return [
        {"version": record.version, **json.loads(record.output)}
        for record in records
        if record.input == b""
    ]


@pytest.mark.long
def test_a_shadow_that_fails_is_rolled_back_and_its_faults_are_on_record(made: Factory) -> None:
    rollout = begin_rollout(made, "shadow")
    code = "from tests.serving_faults import fail_by\nfail_by(2, 3)"
    with serving(made.home.path, code=code) as server, load(server, clients=2) as running:
        wait_until(lambda: endings(made.home, rollout))
    assert running.broken == running.refusals == []
    assert {answer.version for answer in running.answers} == {1}
    [ended] = endings(made.home, rollout)
    assert ended.outcome == "rolled back"
    assert [record for record in _shadows(made) if "RuntimeError" in str(record.get("error"))]


@pytest.mark.long
def test_two_servers_decide_once(made: Factory) -> None:
    rollout = begin_rollout(made, seconds=4, answers=60)
    with (
        serving(made.home.path) as one,
        serving(made.home.path) as other,
        load(one, clients=2) as first,
        load(other, clients=2, seed=5) as second,
    ):
        wait_until(lambda: endings(made.home, rollout))
        wait_until(lambda: versions(one) == versions(other) == ["2"])
        wait_until(lambda: Registry(made.home).alias("apples") == 2)
    assert first.broken == first.refusals == second.broken == second.refusals == []
    [ended] = endings(made.home, rollout)
    # Both added what they saw.
    assert ended.counts.answers >= 60
    assert champion(made.home) == 2
    require_right(made.home, [*first.answers, *second.answers])
    assert problems(made.home) == []


def test_a_killed_server_goes_on_where_it_was(made: Factory) -> None:
    rollout = begin_rollout(made, seconds=1, answers=400)
    file = rollout_file(rollout, made.home)
    one = start(made.home.path)
    with load(one, clients=2) as first:
        wait_until(lambda: read_evidence(file).counts.answers > 10)
        one.kill()
    before = read_evidence(file)
    assert goes_on(made.home) == rollout
    assert 10 < before.counts.answers < 400
    with serving(made.home.path) as other, load(other, clients=2, seed=3) as second:
        wait_until(lambda: read_evidence(file).counts.answers > before.counts.answers)
        wait_until(lambda: endings(made.home, rollout))
        wait_until(lambda: versions(other) == ["2"])
    [ended] = endings(made.home, rollout)
    assert (ended.outcome, ended.counts.answers >= 400) == ("promoted", True)
    assert second.broken == second.refusals == first.refusals == []
    require_right(made.home, [*first.answers, *second.answers])
    require_logged(made.home, [*first.answers, *second.answers])


def test_too_few_answers_decide_nothing(made: Factory) -> None:
    begin_rollout(made, seconds=1, answers=10_000)
    with serving(made.home.path) as server, load(server, clients=2) as running:
        wait_until(lambda: len(running.answers) > 100)
        wait_until(lambda: [*(made.home.path / "rollouts").glob("apples.*.json")])
    assert goes_on(made.home) is not None
    assert champion(made.home) == 1


def test_a_version_whose_graph_was_changed_gets_no_request(made: Factory) -> None:
    rollout = begin_rollout(made)
    [graph] = [
        path
        for path in made.home.artifacts.glob("apples/*/artifacts/onnx/model.onnx")
        if rollout.started.graph.startswith(_sha(path))
    ]
    graph.write_bytes(graph.read_bytes() + b"\0")
    with serving(made.home.path) as server:
        assert server.ask("/readyz").status == 200
        assert {server.ask("/predict/apples", ROW).json["version"] for _ in range(20)} == {1}
        wait_until(lambda: endings(made.home, rollout))
    [ended] = endings(made.home, rollout)
    assert (ended.outcome, champion(made.home)) == ("rolled back", 1)
    assert "model.onnx was changed" in str(ended.reason)


def _sha(path: Path) -> str:
    from hashlib import sha256

    return sha256(path.read_bytes()).hexdigest()


def test_a_person_ends_a_rollout_and_a_stop_stops_both(made: Factory) -> None:
    rollout = begin_rollout(made)
    with serving(made.home.path) as server:
        assert made.factory("stop", "apples", "--reason", "odd answers")[0] == 0
        wait_until(lambda: server.ask("/predict/apples", ROW).status == 503)
        named = server.ask("/v2/models/apples/versions/2/infer", _TENSORS)
        assert named.status == 503
        assert made.factory("resume", "apples", "--reason", "mended")[0] == 0
        wait_until(lambda: server.ask("/predict/apples", ROW).status == 200)
        assert versions(server) == ["1", "2"]
        code, text = made.factory("rollback", "apples", "--reason", "worse at night")
        assert (code, "the roll-out of apples@2 was ended" in text) == (0, True), text
        wait_until(lambda: versions(server) == ["1"])
    [ended] = endings(made.home, rollout)
    assert ended.outcome == "ended by a person"
    assert champion(made.home) == 1
    assert problems(made.home) == []
