"""Runs are inside a boundary: they reach what is declared, and compute the same as outside.

A server on loopback is what is outside: without a boundary a run reaches it.
"""

import http.server
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import psutil
import pytest

from factory_assets.execution.boundary_reports import reports_folder
from factory_resources.boundary.report import parse_report
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry
from factory_resources.workers.run_processes import processes_of
from tests.e2e.test_partitions import DECLARED, Up, backfill, looking_often, put
from tests.e2e.test_partitions import declare as declare_partitions
from tests.e2e.test_retry import launch
from tests.factory_resources.boundary.machine import needs_namespaces
from tests.loopback import needs_root
from tests.loopback_servers import served
from tests.ordinary_user import USER, by_ordinary_user, by_root_for
from tests.pipelines import APPLES, declare, write_apples
from tests.user_factory import UserFactory, user_factory
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, needs_namespaces]

_SOURCE = """
import os, urllib.request
import pandas as pd

def load(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        first = int(answer.read())
    rows = range(200)
    return pd.DataFrame({"a": [first + i % 7 for i in rows], "b": [i % 2 for i in rows]})
"""
_CONTRACT = {"columns": [{"name": "a", "type": "int64"}, {"name": "b", "type": "int64"}]}
_RUNS = "{runsOrError {... on Runs {results {runId}}}}"
_LONG = {
    "target": "label",
    "model": {"kind": "mlp", "hidden": [16], "epochs": 60, "patience": 60, "batch_size": 16},
    "trainer": {"checkpoint": {"epochs": 1}},
}
_RUN = "query($id: ID!) {runOrError(runId: $id) {... on Run {status tags {key value}}}}"


@contextmanager
def _answering() -> Iterator[tuple[int, list[str]]]:
    """Run a server on loopback that answers a number; yield its port, and what was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"3")

        def log_message(self, *_: Any) -> None:
            pass

    with served(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield port, asked


@pytest.fixture
def outside() -> Iterator[tuple[int, list[str]]]:
    with _answering() as answering:
        yield answering


@pytest.fixture
def place() -> Iterator[UserFactory]:
    with user_factory() as made:
        yield made


def _declare(place: UserFactory, port: int, name: str = "asking", **sections: Any) -> None:
    """Declare a pipeline whose source asks the server."""
    folder = place.path / "defs" / name
    source = {"python": "asking:load", "args": {"port": port}}
    ingest = {"source": source, "contract": _CONTRACT}
    declare(folder, {"purpose": "Asks.", "ingest": ingest, **sections})
    (folder / "asking.py").write_text(_SOURCE)


class Runs(NamedTuple):
    """Where a run was refused what it had asked for, and the next one was allowed it."""

    place: UserFactory
    port: int
    refused: subprocess.CompletedProcess[str]
    asked_before: list[str]
    allowed: subprocess.CompletedProcess[str]
    asked: list[str]


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    with user_factory() as place, _answering() as (port, asked):
        _declare(place, port)
        refused, before = place.run("asking"), [*asked]
        _declare(place, port, boundary={"allow": [_local(port)]})
        allowed = place.run("asking")
        yield Runs(place, port, refused, before, allowed, [*asked])


def test_a_source_reaches_only_what_is_allowed(runs: Runs) -> None:
    place, port, refused = runs.place, runs.port, runs.refused
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "Connection refused" in refused.stderr
    assert "asking.py:6 asked for 127.0.0.1:" in refused.stderr
    assert f"boundary: {{allow: ['127.0.0.1:{port}']}}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert runs.asked_before == []

    assert runs.allowed.returncode == 0, runs.allowed.stdout + runs.allowed.stderr
    assert runs.asked == ["/"]
    # The first run had stored nothing, and there was no ledger yet.
    refused_one, entry = place.boundaries()
    assert (refused_one.allowed, refused_one.exit_code) == ({}, 2)
    (traffic,) = entry.allowed.values()
    assert (entry.level, entry.reason, entry.exit_code) == ("namespaces", "", 0)
    assert traffic.connections == 1
    assert traffic.received > 0
    (run,) = place.runs()
    assert run.boundary == "namespaces"
    assert entry.subject == f"boundary/{run.report}"
    report = parse_report((reports_folder(place.home) / f"{run.report}.json").read_text())
    assert report.allow == (f"127.0.0.1:{port}",)


@pytest.mark.long
def test_outside_a_run_computes_the_same(runs: Runs, place: UserFactory) -> None:
    _declare(place, runs.port, boundary="none")
    open_ = place.run("asking")
    assert open_.returncode == 0, open_.stdout + open_.stderr
    assert place.digests() == runs.place.digests()
    assert [run.boundary for run in place.runs()] == ["none"]


def test_runs_of_the_daemon_are_inside(place: UserFactory, outside: tuple[int, list[str]]) -> None:
    port, asked = outside
    _declare(place, port)
    _declare(place, port, "allowed", boundary={"allow": [f"127.0.0.1:{port}"]})
    refused, done = _is_up_for_its_user(place, "asking", "allowed")
    assert (refused["status"], done["status"]) == ("FAILURE", "SUCCESS")
    assert asked == ["/"]
    tags = [{tag["key"]: tag["value"] for tag in run["tags"]} for run in (refused, done)]
    assert [one["factory/boundary"] for one in tags] == ["namespaces"] * 2


@pytest.mark.long
def test_a_killed_run_of_the_daemon_is_retried_inside(
    place: UserFactory, outside: tuple[int, list[str]]
) -> None:
    port, asked = outside
    _declare(place, port)
    _declare(place, port, "allowed", boundary={"allow": [f"127.0.0.1:{port}"]})
    folder = place.path / "defs" / "apples"
    declare(folder, {**APPLES, "train": _LONG})
    write_apples(folder, rows=1000)
    up = Up(place.home.path, place.path / "defs", started_by=by_ordinary_user)
    try:
        refused, done = (_ended(up, job) for job in ("asking", "allowed"))
        assert (refused["status"], done["status"]) == ("FAILURE", "SUCCESS")
        assert asked == ["/"]
        tags = [{tag["key"]: tag["value"] for tag in run["tags"]} for run in (refused, done)]
        assert [one["factory/boundary"] for one in tags] == ["namespaces"] * 2
        retry = _kill_and_await_retry(up, place)
    finally:
        up.stop()
    # Stopped at once, the factory enters it at the next start.
    [again] = _is_up_for_its_user(place, "allowed")
    assert again["status"] == "SUCCESS"
    assert asked == ["/", "/"]
    (first, second, held, last) = place.boundaries()
    assert (first.allowed, [*second.allowed]) == ({}, [f"127.0.0.1:{port}"])
    assert held.subject == f"boundary/{retry}"
    assert [*last.allowed] == [f"127.0.0.1:{port}"]
    assert {one.boundary for one in place.runs()} == {"namespaces"}
    client = Registry(place.home).client
    experiments = [client.get_experiment_by_name("apples").experiment_id]
    statuses = [one.info.status for one in client.search_runs(experiments)]
    assert statuses == ["FINISHED"]


@pytest.mark.long
def test_runs_of_schedules_sensors_and_backfills_are_inside(
    place: UserFactory, outside: tuple[int, list[str]]
) -> None:
    port, asked = outside
    each_minute = {"cron": "* * * * *", "enabled": True}
    _declare(place, port, schedule=each_minute)
    _declare(place, port, "allowed", schedule=each_minute, boundary={"allow": [_local(port)]})
    meter = declare_partitions(place.path / "defs" / "meter", DECLARED)
    for day in (1, 2):
        put(meter, "m1", day)

    def started(command: Sequence[str]) -> list[str]:
        return by_ordinary_user(looking_often(command))

    up = Up(place.home.path, place.path / "defs", started_by=started)
    try:
        up.until("{version}", lambda _: "clean" in {one.stage for one in _records(place, "meter")})
        backfill(up, ["2024-01-01|m1", "2024-01-02|m1"], ["ingest", "clean"])

        def scheduled(_: Any) -> bool:
            ended = {one["tags"].get("dagster/schedule_name"): one for one in _ended_runs(up)}
            return {"asking_schedule", "allowed_schedule"} <= {*ended}

        up.until("{version}", scheduled)
        runs = _ended_runs(up)
    finally:
        up.stop()
    kinds = ("dagster/schedule_name", "dagster/sensor_name", "dagster/backfill")
    assert {kind for one in runs for kind in kinds if kind in one["tags"]} == {*kinds}
    assert {one["tags"]["factory/boundary"] for one in runs} == {"namespaces"}
    states = {(one["tags"].get("dagster/schedule_name"), one["status"]) for one in runs}
    assert ("asking_schedule", "FAILURE") in states
    assert ("allowed_schedule", "SUCCESS") in states
    allowed = [
        one for one in runs if one["tags"].get("dagster/schedule_name") == "allowed_schedule"
    ]
    # Nobody else asked; a run that has just begun may have.
    assert len(allowed) <= len(asked) <= len(allowed) + 1


def _records(place: UserFactory, pipeline: str) -> list[Record]:
    return [one for one in Records(place.home).all() if one.pipeline == pipeline]


def _local(port: int) -> str:
    return f"127.0.0.1:{port}"


def _ended_runs(up: Up) -> list[dict[str, Any]]:
    """Return the runs whose end and boundary are known, with their tags by name."""
    found = []
    for run in up.runs():
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        if run["status"] in ("SUCCESS", "FAILURE") and "factory/boundary" in tags:
            found.append({**run, "tags": tags})
    return found


def _kill_and_await_retry(up: Up, place: UserFactory) -> str:
    """Kill the boundary of a run that trains; return the id of its retry, which has succeeded."""
    known = len(up.runs())
    run = launch(up)
    wait_until(lambda: [*place.home.checkpoints.rglob("*.ckpt")], seconds=180)
    processes = [psutil.Process(number) for number in processes_of(run)]
    outermost = next(one for one in processes if "factory_resources.boundary" in _line(one))
    outermost.kill()
    gone, alive = psutil.wait_procs(processes, timeout=20)
    assert alive == []
    assert len(gone) >= 3
    again = up.until(_RUNS, lambda data: len(data["runsOrError"]["results"]) == known + 2)
    retry: str = again["runsOrError"]["results"][0]["runId"]
    assert retry != run
    wait_until(lambda: up.ask(_RUN, id=retry)["runOrError"]["status"] == "SUCCESS", seconds=300)
    assert up.ask(_RUN, id=run)["runOrError"]["status"] == "FAILURE"
    return retry


def _is_up_for_its_user(place: UserFactory, *jobs: str) -> list[dict[str, Any]]:
    """Start a factory, where possible by root: all of it is the user's; return how jobs ended."""
    by = by_root_for("nobody") if os.geteuid() == 0 else by_ordinary_user
    up = Up(place.home.path, place.path / "defs", started_by=by)
    try:
        started = psutil.Process(up.running.process.pid)
        everybody = [started, *started.children(recursive=True)]
        assert len(everybody) >= 4
        assert {one.uids() for one in everybody} == {(USER[0],) * 3}
        ended = [_ended(up, job) for job in jobs]
    finally:
        up.stop()
    owners = {path.lstat().st_uid for path in place.home.path.rglob("*")}
    assert owners == {USER[0]}
    return ended


def _ended(up: Up, job: str) -> dict[str, Any]:
    run = launch(up, job)

    def done(data: Any) -> bool:
        found = data["runOrError"]
        return found["status"] in {"SUCCESS", "FAILURE"} and any(
            tag["key"] == "factory/boundary" for tag in found["tags"]
        )

    ended: dict[str, Any] = up.until(_RUN, done, id=run)["runOrError"]
    return ended


def test_a_killed_factory_run_leaves_nothing_running(
    place: UserFactory, outside: tuple[int, list[str]]
) -> None:
    port, _ = outside
    _declare(place, port, boundary={"allow": [f"127.0.0.1:{port}"]})
    source, begun = place.path / "defs" / "asking" / "asking.py", place.home.tmp / "begun"
    source.write_text(f"import time\nopen({str(begun)!r}, 'w')\ntime.sleep(600)\n")
    process = place.start("asking")
    wait_until(begun.exists, seconds=120)
    inside = psutil.Process(process.pid).children(recursive=True)
    assert len(inside) >= 3
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(inside, timeout=20)
    assert alive == []
    source.write_text(_SOURCE)
    again = place.run("asking")
    assert again.returncode == 0, again.stdout + again.stderr
    assert [*(place.home.path / "running").iterdir()] == []


def _line(process: psutil.Process) -> str:
    return " ".join(process.cmdline())


@needs_root
def test_root_has_no_boundary_and_is_refused_one_that_is_required(
    place: UserFactory, outside: tuple[int, list[str]]
) -> None:
    port, asked = outside
    _declare(place, port, boundary="required")
    refused = place.run("asking", by=list)
    assert refused.returncode == 2
    assert "a boundary is required, and there is none here: root can undo" in refused.stderr
    assert asked == []
    _declare(place, port)
    done = place.run("asking", by=list)
    assert done.returncode == 0, done.stderr
    assert "boundary: none; root can undo any boundary" in done.stdout


def test_a_run_changes_neither_settings_nor_evidence(runs: Runs) -> None:
    place = runs.place
    planted = [
        place.home.dagster / "dagster.yaml",
        place.home.path / "secrets" / "ledger_key",
        *reports_folder(place.home).glob("*.json"),
        place.path / "defs" / "asking" / "asking.py",
    ]
    source = planted[-1]
    source.write_text(_SOURCE + _PLANT.format([str(path) for path in planted]))
    before = {path: path.read_bytes() for path in planted}
    done = place.run("asking")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"refused {len(planted)}" in done.stdout
    assert {path: path.read_bytes() for path in planted} == before


_PLANT = """
refused = 0
for path in {}:
    try:
        open(path, "w").write("planted")
    except OSError:
        refused += 1
print("refused", refused, flush=True)
"""
