"""A factory that is up: seconds to its first page, memory and CPU when idle, logins, wrong logins.

The CPU of an idle one is also measured with many pipelines, whose schedules and sensors are on.

python -m benchmarks.factory_up
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from benchmarks.measure import Result
from factory_resources.home.home import Home
from factory_resources.security.passwords import Passwords

SECONDS, MEGABYTES, BUSY, LOGIN, SLOWER = 6.0, 650, 0.02, 0.3, 1.5
AUDIT = 1.0
PORT, IDLE = 3987, 60.0
PIPELINES, BUSY_PIPELINES = 50, 0.1
PASSWORD = "a sentence that nobody guesses"
WRONG, PAGES = 100, 30

_PIPELINE = """\
type: factory_assets.ModelPipeline
attributes:
  purpose: Measure
  ingest: {source: {files: "arrivals/*.csv"}}
  train: {target: failure, model: {kind: linear}}
  schedule: {cron: "0 2 1 1 *", timezone: UTC, enabled: true}
  arrivals: {enabled: true}
"""


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "defs").mkdir()
        people = "ann:\n  roles: [engineer]\npaul:\n  roles: [auditor]\n"
        (folder / "defs" / "people.yaml").write_text(people)
        home = Home(folder / "home")
        home.require_writable()
        for person in ("ann", "paul"):
            Passwords(home).set(person, PASSWORD)
        environment = {
            **os.environ,
            "FACTORY_HOME": str(home.path),
            "FACTORY_DEFS": f"{folder}/defs",
        }
        # The first start makes the databases; what is measured is a later one.
        for _ in range(2):
            with _factory(environment) as (began, pid):
                first = _first_page(began)
                results = [*first, *_idle(pid), *_logins()]
        for number in range(PIPELINES):
            pipeline = folder / "defs" / f"pipeline_{number}"
            pipeline.mkdir()
            (pipeline / "defs.yaml").write_text(_PIPELINE)
        with _factory(environment) as (began, pid):
            _first_page(began)
            results.append(_idle_pipelines(pid))
        return results


@contextmanager
def _factory(environment: Mapping[str, str]) -> Iterator[tuple[float, int]]:
    """Yield when `factory up` was started, and its process."""
    began = time.perf_counter()
    options = ["--port", str(PORT), "--predict-port", str(PORT + 1)]
    command = [sys.executable, "-m", "factory_assets.cli", "up", *options]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield began, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _client() -> httpx.Client:
    url = f"http://127.0.0.1:{PORT}"
    return httpx.Client(base_url=url, headers={"origin": url}, timeout=60)


def _log_in(client: httpx.Client, name: str, password: str = PASSWORD) -> int:
    return client.post("/login", data={"name": name, "password": password}).status_code


def _first_page(began: float) -> list[Result]:
    with _client() as client:
        while True:
            try:
                _log_in(client, "ann")
                break
            except httpx.TransportError:
                time.sleep(0.05)
        assert client.get("/").status_code == 200
        seconds = time.perf_counter() - began
        assert client.get("/audit").status_code == 200
        audit = time.perf_counter() - began - seconds
        for path in ("/dagster/", "/mlflow/"):
            assert client.get(path).status_code == 200
        ready = time.perf_counter() - began
    text = f"{seconds:.1f} s; with Dagster and MLflow {ready:.1f} s"
    return [
        Result("factory up to its first page", text, f"<= {SECONDS:g} s", seconds <= SECONDS),
        Result("/audit right after that", f"{audit:.1f} s", f"<= {AUDIT:g} s", audit <= AUDIT),
    ]


def _idle(pid: int) -> list[Result]:
    time.sleep(20)
    processes, busy = _busy(pid)
    memory = {_name(one): one.memory_full_info().pss / 1e6 for one in processes}
    total = sum(memory.values())
    parts = ", ".join(f"{name} {size:.0f}" for name, size in memory.items())
    return [
        Result(
            "memory of everything, idle (PSS)",
            f"{total:.0f} MB: {parts}",
            f"<= {MEGABYTES} MB",
            total <= MEGABYTES,
        ),
        Result("CPU of everything, idle", f"{busy:.1%} of a core", f"<= {BUSY:.0%}", busy <= BUSY),
    ]


def _busy(pid: int) -> tuple[list[psutil.Process], float]:
    """Return all processes, and the share of a core that they use."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    before = sum(sum(one.cpu_times()[:2]) for one in processes)
    time.sleep(IDLE)
    return processes, (sum(sum(one.cpu_times()[:2]) for one in processes) - before) / IDLE


def _idle_pipelines(pid: int) -> Result:
    # Each schedule and sensor is looked at for the first time.
    time.sleep(90)
    _, busy = _busy(pid)
    return Result(
        f"CPU of everything, idle, with {PIPELINES} pipelines with schedules and sensors",
        f"{busy:.1%} of a core",
        f"<= {BUSY_PIPELINES:.0%}",
        busy <= BUSY_PIPELINES,
    )


def _name(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    names = {
        "web.door": "door",
        "cli.daemon": "daemon",
        "cli serve": "predictions",
        "cli up": "up",
        "api grpc": "code",
    }
    return next((name for part, name in names.items() if part in line), line)


def _logins() -> list[Result]:
    with _client() as client:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            assert _log_in(client, "paul") == 303
            times.append(time.perf_counter() - began)
            time.sleep(0.5)
        alone = _page(client)
        with ThreadPoolExecutor(4) as threads, _client() as bot:
            ends = time.monotonic() + 5

            def fail(number: int) -> None:
                while time.monotonic() < ends:
                    _log_in(bot, f"n{number}", "wrong")
                    time.sleep(4 / WRONG)

            futures = [threads.submit(fail, number) for number in range(4)]
            time.sleep(0.5)
            beside = _page(client)
            for future in futures:
                future.result()
    login = sorted(times)[2]
    return [
        Result("a login", f"{login * 1000:.0f} ms", f"<= {LOGIN * 1000:.0f} ms", login <= LOGIN),
        Result(
            f"a page while {WRONG} wrong logins a second come",
            f"{beside * 1000:.1f} ms; without {alone * 1000:.1f} ms (x{beside / alone:.2f})",
            f"<= x{SLOWER}",
            beside <= SLOWER * alone,
        ),
    ]


def _page(client: httpx.Client) -> float:
    times = []
    for _ in range(PAGES):
        began = time.perf_counter()
        assert client.get("/").status_code == 200
        times.append(time.perf_counter() - began)
    return sorted(times)[PAGES // 2]


if __name__ == "__main__":
    for result in run():
        print(result)
