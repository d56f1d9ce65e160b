"""`factory run --workers`: inside the boundary of the run, and ended with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from factory_resources.home.home import PROJECT, Home
from factory_resources.tracking.records import Records
from tests.factory_resources.boundary.machine import needs_namespaces
from tests.pipelines import declare
from tests.user_factory import UserFactory, user_factory

pytestmark = [pytest.mark.slow]

_CONTRACT = {"columns": [{"name": "a", "type": "int64"}]}
_SOURCE = """
import os, time, urllib.request
from pathlib import Path
import pyarrow as pa

def load(day):
    if day == "2024-01-02":
        urllib.request.urlopen("http://127.0.0.1:9/", timeout=5)
    if "SLOW" in os.environ:
        (Path(os.environ["FACTORY_HOME"]) / f"{day}.working").touch()
        time.sleep(60)
    return pa.table({"a": list(range(int(day[-1]) + 3))})
"""


def _declare(defs: Path) -> None:
    source = {"python": "days:load", "args": {"day": "{day}"}}
    days = {"every": "day", "start": "2024-01-01", "end": "2024-01-05"}
    ingest = {"source": source, "contract": _CONTRACT}
    declare(defs / "days", {"purpose": "Days.", "partitions": {"day": days}, "ingest": ingest})
    (defs / "days" / "days.py").write_text(_SOURCE)


@pytest.fixture
def place() -> Iterator[UserFactory]:
    with user_factory() as made:
        _declare(made.path / "defs")
        yield made


@pytest.mark.long
@pytest.mark.parametrize(
    "names",
    [
        ("tumour_diagnosis", "machine_failure"),
        ("ai4i", "heart"),
        ("turbofan",),
        ("readmission",),
        ("turbofan_sequence",),
    ],
    ids=lambda names: names[0],
)
def test_shipped_pipelines_are_the_same_with_workers(
    names: tuple[str, ...], real_data: Path, place: UserFactory
) -> None:
    place.variables["FACTORY_DEFS"] = str(PROJECT / "examples")
    found = []
    for arguments in ([], ["--workers", "2"]):
        done = place.run(*names, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        found.append(place.digests())
        place.home.path.rename(place.path / f"home {len(found)}")
    assert found[0]
    assert found[1] == found[0]


@needs_namespaces
def test_workers_are_inside_the_boundary_of_the_run(place: UserFactory) -> None:
    done = place.run("days", "--workers", "2")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "partition 2024-01-02: days/ingest: days:load" in done.stderr
    assert "Connection refused" in done.stderr
    assert "days.py:8 asked for 127.0.0.1:9, which the boundary does not allow" in done.stderr
    assert "Traceback" not in done.stderr
    assert [run.boundary for run in place.runs()] == ["namespaces"]
    days = [1, 3, 4]
    assert sorted(one.partition or "" for one in Records(place.home).all("days", "clean")) == [
        f"2024-01-0{day}" for day in days
    ]


def test_ctrl_c_ends_the_workers(tmp_path: Path, home: Home) -> None:
    _declare(tmp_path / "defs")
    variables = {"FACTORY_DEFS": str(tmp_path / "defs"), "FACTORY_HOME": str(home.path)}
    command = [sys.executable, "-m", "factory_assets.cli", "run", "days", "--workers=2"]
    keys = [f"--partition=2024-01-0{day}" for day in (4, 3)]
    run = subprocess.Popen(
        [*command, *keys],
        env={**os.environ, **variables, "SLOW": "", "FACTORY_BOUNDARY": "none"},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while len([*home.path.glob("*.working")]) < 2:
        assert time.monotonic() < deadline
        assert run.poll() is None
        time.sleep(0.1)
    pressed = time.monotonic()
    run.send_signal(signal.SIGINT)
    _, told = run.communicate(timeout=30)
    assert (run.returncode, time.monotonic() - pressed < 15) == (130, True)
    assert told.startswith("interrupted; finished stages are stored")
    assert [*home.tmp.glob("*/")] == [home.tmp / "locks"]
