"""A prediction server that is killed, has no room, or changes its champion under load.

Whatever happens: an answer that a client received is in the log, once and as it was given.
"""

import http.client
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, get_args

import pytest

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.serving_acts import roll_back
from factory_resources.home.home import Home
from factory_resources.outcomes.binding import unentered
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.prediction_log.collector import journal_folder
from factory_resources.prediction_log.prediction_log import PredictionLog
from tests.approvals import Factory
from tests.disks import Disk, small_disk
from tests.long_run import one_in
from tests.serving import PredictionServer, serving, start
from tests.serving_faults import Step
from tests.serving_load import Answer, Load, load, require_logged, require_right
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

ROW = {"size": 3.5, "colour": "red"}

DEAD = 60.0
"""Seconds within which a server that should end has ended."""


def some_or_all(few: int, many: int) -> list[Any]:
    """Return numbers of which only the first few are for the default run."""
    return [*range(few), *(pytest.param(i, marks=pytest.mark.long) for i in range(few, many))]


@pytest.fixture(scope="module")
def received() -> list[Answer]:
    """All answers of servers that were killed in this home."""
    return []


@pytest.mark.parametrize("moment", some_or_all(2, 20))
def test_a_kill_at_any_moment_loses_no_answer(
    moment: int, made: Factory, received: list[Answer]
) -> None:
    # Each server but the first one begins where the one before was killed.
    server = start(made.home.path)
    with load(server, seed=moment) as running:
        wait_until(lambda: running.answers)
        time.sleep(Random(moment).uniform(0, 1.5))
        server.kill()
    assert running.refusals == []
    received += running.answers
    require_logged(made.home, received)


@pytest.mark.parametrize("step", one_in(2, get_args(Step)))
def test_a_crash_at_each_step_loses_no_answer(
    step: Step, made: Factory, received: list[Answer]
) -> None:
    server = start(
        made.home.path, code=f"from tests.serving_faults import die_at\ndie_at({step!r}, 40)"
    )
    with load(server) as running:
        assert server.process.wait(DEAD) == 9
    assert running.answers
    assert running.refusals == []
    received += running.answers
    require_logged(made.home, received)


def test_after_all_crashes_a_server_answers(made: Factory, received: list[Answer]) -> None:
    with serving(made.home.path) as server, load(server, clients=1) as running:
        wait_until(lambda: len(running.answers) > 20)
    assert running.broken == running.refusals == []
    require_logged(made.home, [*received, *running.answers])
    require_right(made.home, [*received, *running.answers])
    left = [path for path in journal_folder(made.home).iterdir() if path.suffix != ".open"]
    assert left == []


def test_a_torn_tail_is_cut_off(made: Factory) -> None:
    server = start(made.home.path)
    with load(server, clients=2) as running:
        wait_until(lambda: len(running.answers) > 50)
        server.kill()
    [segment] = journal_folder(made.home).glob("*.open")
    whole = {answer.id for answer in running.answers}
    with PredictionLog(made.home) as log:
        content = segment.read_bytes()
        end = len(content.rstrip(b"\0"))
        # The last record was written in part, and behind it is what the disk had before.
        segment.write_bytes(content[: end - 30] + os.urandom(30) + content[end:])
        log.collect()
        lost = [identifier for identifier in whole if log.find(identifier) is None]
    assert len(lost) <= 3, "only rows of the last request"
    with serving(made.home.path) as again:
        assert again.ask("/predict/apples", ROW).status == 200


_SMALL = """
from factory_resources.prediction_log.collector import journal_folder
from factory_resources.prediction_log.journal import Journal
from factory_resources.prediction_log.prediction_log import PredictionLog
PredictionLog.journal = lambda self: Journal(journal_folder(self._home), size=64 * 1024)
"""
"""Segments that are soon full."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", 200_000_000) as disk:
        yield disk


def test_on_a_full_disk_nothing_is_answered_that_is_not_logged(made: Factory, disk: Disk) -> None:
    home = Home(disk.folder / "home")
    shutil.copytree(made.home.path, home.path)
    with serving(home.path, code=_SMALL) as server:
        with load(server, clients=4) as running:
            wait_until(lambda: len(running.answers) > 20)
            with disk.filled(0):
                wait_until(lambda: len(running.refusals) > 20)
            before = len(running.answers)
            wait_until(lambda: len(running.answers) > before + 50)
        assert server.ask("/predict/apples", ROW).status == 200
    assert {status for status, _ in running.refusals} == {503}
    for line in {line for _, line in running.refusals}:
        assert "No space left on device" in line
        assert "free" in line
        assert "\n" not in line
    assert running.broken == []
    require_logged(home, running.answers)
    require_right(home, running.answers)


@pytest.mark.parametrize("switches", [10, pytest.param(50, marks=pytest.mark.long)])
def test_a_new_champion_takes_over_without_a_failed_request(switches: int, made: Factory) -> None:
    pipeline = load_pipeline(made.defs / "apples")
    shares = dict[int, dict[str, float]]()
    with serving(made.home.path) as server, load(server, clients=4) as running:
        for number in range(switches):
            version = 1 + number % 2
            roll_back(pipeline, version, "a test", None, made.home)
            # At first there may be no answer yet.
            wait_until(lambda now=version: now in {one.version for one in running.answers[-1:]})
            reply = server.ask("/predict/apples", ROW).json
            shares[reply["version"]] = reply["probabilities"]
    assert running.broken == running.refusals == []
    assert {answer.version for answer in running.answers} == {1, 2}
    assert shares[1] != shares[2]
    require_right(made.home, running.answers)
    require_logged(made.home, running.answers)


def test_a_stop_under_load_is_a_good_answer_or_its_reason(made: Factory) -> None:
    with serving(made.home.path) as server:
        with load(server) as before:
            wait_until(lambda: before.answers)
            assert made.factory("stop", "apples", "--reason", "wrong answers")[0] == 0
            wait_until(lambda: before.refusals)
        with load(server) as after:
            wait_until(lambda: len(after.refusals) > 100)
            answered = len(after.answers)
            assert made.factory("resume", "apples", "--reason", "mended")[0] == 0
            wait_until(lambda: after.answers)
    assert answered == 0
    for running in (before, after):
        assert running.broken == []
        require_good(made, running)


def test_an_end_under_load_is_a_good_answer_or_none(made: Factory) -> None:
    server = start(made.home.path)
    with load(server) as running:
        wait_until(lambda: running.answers)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DEAD) == 0
    require_good(made, running)
    assert [*journal_folder(made.home).glob("*.open")] == []
    assert [line for line in server.log if "Traceback" in line or '"error"' in line] == []


def require_good(made: Factory, running: Load) -> None:
    for status, line in running.refusals:
        assert status == 503
        assert "was stopped" in line
    require_right(made.home, running.answers)
    require_logged(made.home, running.answers)


def test_an_end_enters_the_outcomes_of_the_last_seconds(made: Factory) -> None:
    with serving(made.home.path) as running:
        identifier = running.ask("/predict/apples", ROW).json["id"]
        assert running.ask("/feedback", {"id": identifier, "outcome": "bad"}).status == 200
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=DEAD) == 0
    with open_outcomes(made.home) as store:
        assert store.last_bound() == store.last_number() > 0
        assert unentered(store) == []


def test_a_request_that_came_before_a_take_over_is_answered(made: Factory) -> None:
    """Its body comes late, when the model that it was for is closed already."""
    pipeline = load_pipeline(made.defs / "apples")
    with serving(made.home.path) as server:
        version = server.ask("/predict/apples", {**ROW, "size": "3.5"}).json["version"]
        late = LateRequest(server)
        roll_back(pipeline, 3 - version, "a test", None, made.home)
        wait_until(lambda: server.ask("/predict/apples", ROW).json["version"] == 3 - version)
        status, answer = late.end()
    assert status == 200, answer
    assert answer["version"] == version


class LateRequest:
    """A request for the engine whose body is sent when it ends."""

    def __init__(self, server: PredictionServer) -> None:
        self._body = json.dumps({**ROW, "size": "3.5"}).encode()
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self._connection.putrequest("POST", "/predict/apples")
        self._connection.putheader("content-type", "application/json")
        self._connection.putheader("content-length", str(len(self._body)))
        self._connection.endheaders()

    def end(self) -> tuple[int, Any]:
        """Send the body; return status and content of the answer."""
        self._connection.send(self._body)
        reply = self._connection.getresponse()
        content = json.loads(reply.read())
        self._connection.close()
        return reply.status, content
