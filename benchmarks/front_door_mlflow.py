"""What the front door adds to MLflow's own application: CPU time of an answer.

python -m benchmarks.front_door_mlflow SIDE HOME    (one side, in a process of its own)

Both sides answer the same requests of the UI, without a network between.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import Result, measure

ROUNDS, REQUESTS = 3, 100
AT_MOST = 1.1
"""CPU time relative to MLflow's own application."""

PREFIX = "/mlflow"
ASKED = {
    "a page": ("GET", "/", b""),
    "a search of runs": ("POST", "/ajax-api/2.0/mlflow/runs/search", b'{"experiment_ids":["1"]}'),
    "the models": ("GET", "/ajax-api/2.0/mlflow/registered-models/search", b""),
}


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        _fill(home)
        command = [sys.executable, "-m", "benchmarks.front_door_mlflow"]
        rounds = [
            {
                side: json.loads(measure([*command, side, str(home)], {}).output.splitlines()[-1])
                for side in ("plain", "door")
            }
            for _ in range(ROUNDS)
        ]
    return [_result(what, rounds) for what in ASKED]


def _result(what: str, rounds: list[dict[str, dict[str, float]]]) -> Result:
    plain, door = (min(one[side][what] for one in rounds) for side in ("plain", "door"))
    return Result(
        f"MLflow behind the front door, {what}",
        f"{door:.2f} ms CPU; MLflow alone {plain:.2f} (x{door / plain:.2f})",
        f"at most x{AT_MOST}",
        door <= AT_MOST * plain,
    )


def _fill(path: Path) -> None:
    """Make a home with one version of one model."""
    from factory_resources.home.home import Home
    from factory_resources.ledger.ledger import Ledger
    from factory_resources.tracking.registry import Registry
    from factory_resources.tracking.run import Signature, open_run

    home = Home(path)
    registry = Registry(home)
    files = path / "tmp" / "model"
    with open_run(registry, "m", "one", {"factory.pipeline": "m"}, started=1) as started:
        files.mkdir(parents=True)
        (files / "weights").write_bytes(b"0")
        started.register(files, Signature({"a": "float"}, "prediction", None), {"a": 1.0}, {})
        started.log_metrics([(0, {f"metric_{number}": 0.5 for number in range(30)})])
    Ledger(home).begin()


def _application(side: str, path: Path) -> Any:
    from factory_assets.web.access_log import AccessLog
    from factory_assets.web.mlflow.app import mlflow_app
    from factory_resources.home.home import Home
    from factory_resources.tracking.registry import Registry

    home = Home(path)
    if side == "door":
        return mlflow_app(home, PREFIX, AccessLog(home))
    address = Registry(home).uri
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = address
    os.environ["_MLFLOW_SERVER_REGISTRY_STORE"] = address
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = home.artifacts.as_uri()
    os.environ["_MLFLOW_STATIC_PREFIX"] = PREFIX
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    from mlflow.server.fastapi_app import app

    return app


async def _milliseconds(app: Any, method: str, path: str, body: bytes) -> float:
    """Return the CPU time that nine answers in ten exceed: other load only ever adds to it."""
    times = []
    for _ in range(REQUESTS):
        started = time.process_time()
        await _ask(app, method, path, body)
        times.append(time.process_time() - started)
    return statistics.quantiles(times, n=10)[0] * 1_000


async def _ask(app: Any, method: str, path: str, body: bytes) -> None:
    from factory_assets.web.visitor import ALL_ROLES, Visitor, set_visitor

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": f"{PREFIX}{path}",
        "raw_path": f"{PREFIX}{path}".encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"content-type", b"application/json"),
            # Without it MLflow would not read the body, and would find nothing.
            (b"content-length", str(len(body)).encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    set_visitor(scope, Visitor("ann", ALL_ROLES, "0" * 64))
    never = asyncio.Event()
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if not waiting:
            await never.wait()
        return waiting.pop()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise RuntimeError(f"{path} answered {message['status']}")

    await app(scope, receive, send)


async def _all(app: Any) -> dict[str, float]:
    return {what: await _milliseconds(app, *asked) for what, asked in ASKED.items()}


def main() -> None:
    side, home = sys.argv[1:]
    print(json.dumps(asyncio.run(_all(_application(side, Path(home))))))


if __name__ == "__main__":
    main()
