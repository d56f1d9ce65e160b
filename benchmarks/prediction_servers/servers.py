"""How each server that is compared is started, and how it is asked for one row.

Only the factory's checks a contract, applies rules and logs its answers. The columns that are
derived are computed by hand for FastAPI, LitServe and BentoML; MLflow is sent them.
"""

import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from benchmarks.prediction_servers.feeds import feed_of
from benchmarks.prediction_servers.home import CHAMPIONS, Champion, places_of
from benchmarks.prediction_servers.load import Load
from benchmarks.prediction_servers.process import Server, serving
from factory_resources.home.home import PROJECT, Home

FACTORY, FASTAPI, MLFLOW, LITSERVE, BENTOML = "factory", "FastAPI", "MLflow", "LitServe", "BentoML"

_APPS = Path(__file__).parent

_OTHERS = ("litserve==0.2.19", "bentoml>=1.4,<1.5")


@dataclass(frozen=True)
class Asked:
    """A running server and a request that it answers."""

    server: Server
    load: Load


def factory_command() -> list[str]:
    """Return the command that serves every champion."""
    serve = [sys.executable, "-m", "factory_assets.cli", "serve", *CHAMPIONS]
    return [*serve, "--port", "{port}"]


@contextmanager
def all_servers(milling: Champion, folder: Path) -> Iterator[dict[str, Asked]]:
    """Run every server for the block; those that cannot be installed are left out."""
    row = milling.row
    graph, module = str(milling.graph), "benchmarks.prediction_servers.fastapi_app"
    found: dict[str, tuple[list[str], str, bytes, dict[str, str]]] = {
        FACTORY: (factory_command(), f"/predict/{milling.name}", row, places_of(milling.home)),
        FASTAPI: ([sys.executable, "-m", module, graph, "{port}"], "/predict", row, {}),
        MLFLOW: (_mlflow(milling.name), "/invocations", _frame(milling), _tracking(milling.home)),
    }
    if python := _install_others(folder):
        lit = [str(python), str(_APPS / "litserve_app.py"), graph, "{port}"]
        bento = [str(python), "-m", "bentoml", "serve", "bentoml_app:Milling"]
        bento += ["--working-dir", str(_APPS), "--host", "127.0.0.1", "--port", "{port}"]
        places = {"GRAPH": graph, "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder)}
        found[LITSERVE] = (lit, "/predict", row, {})
        found[BENTOML] = (bento, "/predict", b'{"row": ' + row + b"}", places)
    with ExitStack() as stack:
        running = {}
        for name, (command, path, body, environment) in found.items():
            server = stack.enter_context(serving(command, path, body, environment))
            running[name] = Asked(server, Load(server.port, path, body.decode("latin-1")))
        yield running


def _mlflow(name: str) -> list[str]:
    serve = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{name}@champion"]
    return [*serve, "--env-manager", "local", "--host", "127.0.0.1", "--port", "{port}"]


def _tracking(home: Home) -> dict[str, str]:
    # It starts its server as `uvicorn`.
    return {
        "MLFLOW_TRACKING_URI": f"sqlite:///{home.mlflow_database}",
        "PATH": f"{sysconfig.get_path('scripts')}:/usr/local/bin:/usr/bin:/bin",
    }


def _frame(milling: Champion) -> bytes:
    """Return one row as MLflow reads it: with the columns that the factory derives."""
    feed = feed_of(replace(milling, rows=milling.rows[:1]))
    data = [value.item() for value in feed.values()]
    return json.dumps({"dataframe_split": {"columns": [*feed], "data": [data]}}).encode()


def _install_others(folder: Path) -> Path | None:
    """Install LitServe and BentoML in an environment of their own; None if that fails."""
    environment = folder / "others"
    python = environment / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    same = [f"{name}=={version(name)}" for name in ("numpy", "onnxruntime")]
    install = [python, "-m", "pip", "install", "--quiet", *_OTHERS, *same]
    done = subprocess.run(install, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"without LitServe and BentoML: {done.stderr.strip().splitlines()[-1]}")
        return None
    return python
