"""What turned out to be true comes back to a real server, which is killed and asked twice."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from factory_resources.home.home import Home
from factory_resources.outcomes.binding import bind_outcomes
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.prediction_log.ids import PredictionIds, text
from factory_resources.security.tokens import Tokens
from tests.approvals import Factory
from tests.factory_resources.prediction_log.homes import problems
from tests.serving import PredictionServer, serving, start

pytestmark = pytest.mark.slow

ROW = {"size": 3.5, "colour": "red"}


@pytest.fixture(scope="module")
def server(made: Factory) -> Iterator[PredictionServer]:
    with serving(made.home.path) as running:
        yield running


def ask(server: PredictionServer, count: int = 1) -> list[str]:
    """Return the ids of new answers."""
    answers = server.ask("/predict/apples", [ROW] * count).json["predictions"]
    return [answer["id"] for answer in answers]


def recorded(home: Home, *identifiers: str) -> list[list[str]]:
    """Return what was recorded of each, oldest first."""
    with open_outcomes(home) as store:
        rows = [*store.from_number(1, 100_000)]
    return [[row.value for row in rows if text(row.id) == one] for one in identifiers]


def test_an_outcome_is_recorded_repeated_and_corrected(
    server: PredictionServer, made: Factory
) -> None:
    [one] = ask(server)
    said = [
        server.ask("/feedback", {"id": one, "outcome": value})
        for value in ("good", "good", "bad", "bad")
    ]
    assert [reply.status for reply in said] == [200] * 4
    assert [reply.json for reply in said] == [
        {"id": one, "status": status}
        for status in ("recorded", "repeated", "corrected", "repeated")
    ]
    assert recorded(made.home, one) == [['"good"', '"bad"']]


def test_a_list_gets_an_answer_for_each(server: PredictionServer, made: Factory) -> None:
    first, second, third = ask(server, 3)
    unknown = text(PredictionIds().take())
    reply = server.ask(
        "/feedback",
        [
            {"id": first, "outcome": "good"},
            {"id": unknown, "outcome": "good"},
            {"id": second, "outcome": "rotten"},
            {"id": third, "outcome": "bad", "observed": datetime.now(UTC).isoformat()},
            {"id": third, "outcome": "bad"},
            {"outcome": "bad"},
        ],
    )
    assert reply.status == 200
    found = reply.json
    assert [one.get("status") for one in found["outcomes"]] == [
        "recorded", None, None, "recorded", "repeated", None
    ]  # fmt: skip
    assert "no answer" in found["outcomes"][1]["error"]
    assert found["outcomes"][2]["error"] == (
        "the outcome is not a class of 'label'; send one of bad, good"
    )
    counts = {kind: found[kind] for kind in ("recorded", "repeated", "corrected", "refused")}
    assert counts == {"recorded": 2, "repeated": 1, "corrected": 0, "refused": 3}
    assert recorded(made.home, first, second, third) == [['"good"'], [], ['"bad"']]


def _item(**more: Any) -> Any:
    return lambda one: {"id": one, "outcome": "good", **more}


_LATER = (datetime.now(UTC) + timedelta(days=1)).isoformat()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (lambda one: b"", 400, "the body is empty"),
        (lambda one: b"{", 400, "not JSON"),
        (lambda one: b"[" * 100_000, 400, "nested"),
        (lambda one: b"5", 400, "not an outcome"),
        (lambda one: [], 400, "no row"),
        (lambda one: {}, 422, "not an outcome"),
        (lambda one: [5, None], 422, "none of the 2 outcomes"),
        (_item(id="x"), 422, "not the id of an answer"),
        (_item(id=7), 422, "not the id of an answer"),
        (_item(id=None), 422, "not the id of an answer"),
        (_item(id="0199f5a0-0000-4000-8000-000000000000"), 422, "not the id of an answer"),
        (_item(id=text(PredictionIds().take())), 422, "no answer has this id"),
        (_item(id="ffffffff-ffff-7fff-bfff-ffffffffffff"), 422, "no answer has this id"),
        (_item(id="00000000-0000-7000-8000-000000000000"), 422, "no answer has this id"),
        (_item(outcome=None), 422, "missing"),
        (_item(outcome=1), 422, "one of bad, good"),
        (_item(outcome=["good"]), 422, "one of bad, good"),
        (_item(outcome={"good": 1}), 422, "one of bad, good"),
        (_item(outcome=10**400), 422, "one of bad, good"),
        (_item(outcome="x" * 100_000), 422, "one of bad, good"),
        (_item(observed="yesterday"), 422, "not a time"),
        (_item(observed=5), 422, "not a time"),
        (_item(observed="0001-01-01T00:00:00+23:00"), 422, "before the answer"),
        (_item(observed=_LATER), 422, "in the future"),
        (_item(observed="2020-01-01T00:00:00Z"), 422, "before the answer"),
        (_item(value=3), 422, "'value' is unknown"),
        (lambda one: [{"id": one, "outcome": "good"}] * 10_001, 413, "at most 10,000"),
        (lambda one: b" " * (5 << 20), 413, "4,194,304 bytes"),
    ],
    ids=range(28),
)
def test_wrong_feedback_gets_one_line(
    body: Any, status: int, words: str, server: PredictionServer, made: Factory
) -> None:
    [one] = ask(server)
    reply = server.ask("/feedback", body(one))
    assert reply.status == status, reply.body
    assert words in reply.json["error"]
    assert "\n" not in reply.json["error"]
    assert recorded(made.home, one) == [[]]


def test_a_refused_request_has_no_outcome(server: PredictionServer, made: Factory) -> None:
    assert server.ask("/predict/apples", {"size": 1}).status == 422
    from factory_resources.prediction_log.prediction_log import PredictionLog

    with PredictionLog(made.home) as log:
        refused = [
            identifier
            for identifier, record in log.every("apples", bytes(16))
            if record.kind == "error"
        ]
    reply = server.ask("/feedback", {"id": text(refused[-1]), "outcome": "good"})
    assert reply.status == 422
    assert "was refused" in reply.json["error"]


def test_feedback_is_counted_in_the_metrics(server: PredictionServer) -> None:
    [one] = ask(server)
    server.ask("/feedback", {"id": one, "outcome": "good"})
    metrics = server.ask("/metrics").body.decode()
    assert 'factory_feedback_total{kind="recorded",pipeline="apples"}' in metrics
    assert 'factory_feedback_total{kind="refused",pipeline=""}' in metrics


def test_feedback_is_described(server: PredictionServer) -> None:
    described = server.ask("/openapi.json").json
    assert "/feedback" in described["paths"]
    assert "/feedback" in server.ask("/docs").body.decode()
    read = server.ask("/feedback")
    assert (read.status, read.headers["allow"]) == (405, "POST")


def test_a_token_sends_outcomes_of_its_own_pipelines(made: Factory, tmp_path: Path) -> None:
    tokens = Tokens(made.home)
    with serving(made.home.path) as server:
        [one] = ask(server)
        mine, other = (
            {"authorization": f"Bearer {tokens.new(name, names, valid=timedelta(days=1))}"}
            for name, names in (("mine", ["apples"]), ("other", ["pears"]))
        )
        try:
            sent = {"id": one, "outcome": "good"}
            assert server.ask("/feedback", sent).status == 401
            refused = server.ask("/feedback", sent, headers=other)
            assert (refused.status, "no answer has this id" in refused.json["error"]) == (
                422, True
            )  # fmt: skip
            assert server.ask("/feedback", sent, headers=mine).json["status"] == "recorded"
        finally:
            tokens.file.unlink()
    with open_outcomes(made.home) as store:
        callers = {row.caller for row in store.from_number(1, 100_000) if text(row.id) == one}
    assert callers == {"mine"}


def test_outcomes_are_bound_behind(server: PredictionServer, made: Factory) -> None:
    [one] = ask(server)
    server.ask("/feedback", {"id": one, "outcome": "good"})
    for _ in range(200):
        with open_outcomes(made.home) as store:
            [(left,)] = store.database.run(
                "SELECT (SELECT max(number) FROM outcome) - "
                "(SELECT coalesce(max(first + count - 1), 0) FROM outcome_batch WHERE entered = 1)"
            )
        if not left:
            break
        time.sleep(0.1)
    assert left == 0
    assert problems(made.home) == []


def test_a_kill_loses_and_doubles_nothing(made: Factory) -> None:
    killed = start(made.home.path)
    identifiers = ask(killed, 400)
    acknowledged = list[str]()

    def send() -> None:
        for one in identifiers:
            try:
                if killed.ask("/feedback", {"id": one, "outcome": "good"}).status == 200:
                    acknowledged.append(one)
            except OSError:
                return

    sender = threading.Thread(target=send)
    sender.start()
    while len(acknowledged) < 20:
        time.sleep(0.005)
    killed.kill()
    sender.join()
    assert 20 <= len(acknowledged) < 400
    assert recorded(made.home, *acknowledged) == [['"good"']] * len(acknowledged)
    with serving(made.home.path) as again:
        sent = [{"id": one, "outcome": "good"} for one in identifiers]
        found = again.ask("/feedback", sent).json
        # One may be on disk whose acknowledgement was lost.
        assert found["repeated"] in {len(acknowledged), len(acknowledged) + 1}
        assert found["repeated"] + found["recorded"] == 400
        assert again.ask("/feedback", sent).json["repeated"] == 400
    assert recorded(made.home, *identifiers) == [['"good"']] * 400
    bind_outcomes(made.home)
    assert problems(made.home) == []


def test_predictions_go_on_while_many_outcomes_are_looked_up(
    server: PredictionServer, made: Factory
) -> None:
    identifiers = ask(server, 10_000)
    sent = json.dumps([{"id": one, "outcome": "bad"} for one in identifiers]).encode()
    done = list[Any]()
    sender = threading.Thread(target=lambda: done.append(server.ask("/feedback", sent)))
    sender.start()
    meanwhile = 0
    while sender.is_alive():
        assert server.ask("/predict/apples", ROW).status == 200
        meanwhile += not done
    assert done[0].json["recorded"] == 10_000
    assert meanwhile > 3


def test_a_file_and_requests_at_once_record_each_outcome_once(
    server: PredictionServer, made: Factory
) -> None:
    identifiers = ask(server, 2_000)
    file = made.root / "outcomes.csv"
    file.write_text("id,outcome\n" + "".join(f"{one},good\n" for one in identifiers))
    found = list[Any]()

    def send() -> None:
        for place in range(0, 2_000, 50):
            part = [{"id": one, "outcome": "good"} for one in identifiers[place : place + 50]]
            found.append(server.ask("/feedback", part).json)

    sender = threading.Thread(target=send)
    sender.start()
    code, said = made.factory("feedback", "apples", str(file))
    sender.join()
    assert code == 0, said
    by_file = int(said.split(" ")[0].replace(",", ""))
    assert by_file + sum(one["recorded"] for one in found) == 2_000
    assert recorded(made.home, *identifiers[::100]) == [['"good"']] * 20
    code, said = made.factory("verify")
    assert code == 0, said


def test_the_command_refuses_a_wrong_file_and_counts_outcomes(made: Factory) -> None:
    file = made.root / "wrong.csv"
    file.write_text("id,outcome\nx,good\ny,good\n")
    code, said = made.factory("feedback", "apples", str(file))
    assert code == 2
    assert "row 1: this is not the id of an answer" in said
    assert "nothing was recorded" in said
    for arguments, words in (
        (("feedback", "pears"), "has no model version"),
        (("feedback", "aples", str(file)), "'aples' has no model version; did you mean 'apples'?"),
        (("feedback", "apples", "--since", "monday"), "is not a day"),
        (("feedback", "apples", str(made.root / "none.csv")), "none.csv"),
    ):
        code, said = made.factory(*arguments)
        assert (code, words in said) == (2, True), said
        assert said.count("\n") == 1
    code, said = made.factory("feedback", "apples", "--missing-after", "0", "--since", "0001-01-01")
    assert code == 0
    assert "without one after 0 days" in said
    assert "good" not in said
