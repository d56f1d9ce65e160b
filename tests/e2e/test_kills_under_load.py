"""Kill any process of a factory at any moment, or all at once, while a run works and people ask.

After another start, and by nobody's hand: no run stays started and none has left a process, who
serves has passed the gates, every answer is logged, and the ledger is whole.
"""

import random
import time
from pathlib import Path
from typing import Any, Literal, get_args

import psutil
import pytest

from factory_resources.home.home import Home
from factory_resources.home.processes import is_alive, process_identity
from factory_resources.ledger.entries import ChampionMade, VerdictGiven
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tracking.registry import Registry
from factory_resources.workers.run_processes import processes_of
from tests.commands import command
from tests.e2e.test_partitions import Up
from tests.e2e.test_retry import MODEL, TRAIN, keeper, launch
from tests.pipelines import APPLES, declare, write_apples
from tests.serving import PredictionServer, asking

pytestmark = pytest.mark.slow

Victim = Literal["worker", "everything", "predictions", "keeper", "daemon", "up", "door", "code"]

SERVICES = {
    "door": "factory_assets.web.door",
    "code": "grpc",
    "daemon": "factory_assets.cli.daemon",
    "predictions": "serve",
}
"""A word of the command line of each."""
SHORT = {**TRAIN, "model": {**MODEL, "epochs": 20}}
END = 60.0
"""Seconds within which what should end has ended."""
ROW = {"size": 3.5, "colour": "red"}
WILL_RETRY = {"key": "dagster/will_retry", "value": "true"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("kills", "train"),
    [(3, APPLES["train"]), (24, SHORT)],
    ids=["few", "many"],
)
def test_a_factory_killed_under_load_ends_well(
    tmp_path: Path, kills: int, train: dict[str, Any]
) -> None:
    defs, home = tmp_path / "defs", Home(tmp_path / "home")
    gates = [*APPLES["evaluate"]["gates"], {"champion": "off"}]
    declare(defs / "apples", {**APPLES, "train": train, "evaluate": {"gates": gates}})
    chance, answered = random.Random(kills), list[str]()
    write_apples(defs / "apples", rows=300)
    up = Up(home.path, defs)
    try:
        first = launch(up)
        keeper(up, first)
        began = time.monotonic()
        assert end_of(up, first) == [first]
        lasts = time.monotonic() - began
        for number in range(kills):
            victim, moment = get_args(Victim)[number % 8], chance.uniform(0, lasts)
            told = f"kill {number}: {victim} after {moment:.2f} of {lasts:.2f} s"
            # Other rows, so that everything is computed; of every third kind, no model can be made.
            write_apples(defs / "apples", rows=301 + number, learnable=number % 3 != 2)
            with asking(_server(up), "/predict/apples", ROW, answered, pause=0.05):
                run = launch(up)
                process = keeper(up, run)
                time.sleep(moment)
                before = identities(process)
                factory = identities(psutil.Process(up.running.process.pid))
                if kill(up, process, victim):
                    up, before = Up(home.path, defs), before | factory
            ids = end_of(up, run)
            assert len(ids) <= 2, f"{told}: {ids}"
            require_gone(before, ids, told)
            require_whole(home, up, told)
    finally:
        up.stop()
    with PredictionLog(home) as log:
        log.collect()
        lost = [one for one in answered if log.find(one) is None]
    # Some candidates were made champion, and some were refused.
    assert answered
    verdicts = {_verdict(home, version) for version in range(1, kills + 2)}
    assert verdicts >= {True, False}
    assert lost == [], f"{len(lost)} of {len(answered)}"


def _server(up: Up) -> PredictionServer:
    return PredictionServer(up.running.process, up.running.ports[1])  # type: ignore[arg-type]


def tree(process: psutil.Process) -> list[psutil.Process]:
    """Return a process and all below it; nothing if it has ended."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def identities(process: psutil.Process) -> set[str]:
    found = {process_identity(one.pid) for one in tree(process)}
    return {one for one in found if not one.endswith("gone")}


def kill(up: Up, process: psutil.Process, victim: Victim) -> bool:
    """Kill the victim; return whether the factory has to be started again.

    Args:
        process: the keeper of the run, which may have ended.
    """
    everything = tree(psutil.Process(up.running.process.pid))
    match victim:
        case "worker":
            victims = tree(process)[1:2]
        case "keeper":
            victims = [process]
        case "everything":
            victims = everything
        case "up":
            victims = [psutil.Process(up.running.process.pid)]
        case service:
            victims = [one for one in everything if _is(one, service)]
            assert victims, service
    for one in victims:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            assert victim in ("worker", "keeper", "everything")
    if victim in ("worker", "keeper"):
        return False
    up.client.close()
    code = up.running.process.wait(END)
    assert code == (-9 if victim in ("up", "everything") else 1)
    return True


def _is(process: psutil.Process, service: str) -> bool:
    try:
        return SERVICES[service] in process.cmdline()
    except psutil.NoSuchProcess:
        return False


def end_of(up: Up, first: str) -> list[str]:
    """Wait until a run, or the last of its retries, has ended; return the ids of them all."""
    ids = [first]

    def done(_: Any) -> bool:
        runs = {one["runId"]: one for one in up.runs()}
        for run, one in runs.items():
            if {"key": "dagster/parent_run_id", "value": ids[-1]} in one["tags"]:
                ids.append(run)
        last = runs[ids[-1]]
        failed = last["status"] == "FAILURE" and WILL_RETRY not in last["tags"]
        return failed or last["status"] == "SUCCESS"

    up.until("{version}", done)
    return ids


def require_gone(before: set[str], ids: list[str], told: str) -> None:
    """Require that of the factory before, and of the runs, no process is left."""
    deadline = time.monotonic() + END
    while alive := [*filter(is_alive, before)]:
        assert time.monotonic() < deadline, f"{told}: {alive}"
        time.sleep(0.1)
    # The last one has ended its run, and then itself.
    while left := {run: pids for run in ids if (pids := [*processes_of(run)])}:
        assert {*left} == {ids[-1]}, f"{told}: {left}"
        assert time.monotonic() < deadline, told
        time.sleep(0.1)


def require_whole(home: Home, up: Up, told: str) -> None:
    """Require that nothing is unfinished, that who serves has passed, and that all is proven."""
    assert {run["status"] for run in up.runs()} <= {"SUCCESS", "FAILURE"}, told
    client = Registry(home).client
    experiments = [one.experiment_id for one in client.search_experiments()]
    running = client.search_runs(experiments, "attributes.status = 'RUNNING'")
    assert [*running] == [], told
    ledger = Ledger(home)
    serving = ledger.latest(ChampionMade, ChampionMade.subject_of(pipeline="apples"))
    assert serving is not None
    assert _verdict(home, serving[1].version), told
    assert Registry(home).moved_alias("apples") is None, told
    verified = command(home.path, FACTORY_DEFS=str(home.path.parent / "defs"))("verify")
    assert verified.returncode == 0, told + verified.stdout + verified.stderr


def _verdict(home: Home, version: int) -> bool | None:
    """Return whether a version has passed its gates; None if there is no verdict about it."""
    subject = VerdictGiven.subject_of(pipeline="apples", version=version)
    found = Ledger(home).latest(VerdictGiven, subject)
    return found[1].passed if found else None
