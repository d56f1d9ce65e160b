"""MLflow as the front door's process runs it: without numpy, pandas, pyarrow and scipy."""

import json
import subprocess
import sys
from urllib.parse import urlencode

from factory_assets.web.mlflow.endpoints import READS, Endpoint
from tests.factory_assets.web.mlflow.conftest import PREFIX, MlflowSite

PROGRAM = """\
import asyncio, json, sys
from pathlib import Path
from factory_assets.web.door.refused_imports import WITHOUT, refuse_imports
refuse_imports()
from factory_assets.web.access_log import AccessLog
from factory_assets.web.mlflow.app import mlflow_app
from factory_resources.home.home import Home
from tests.factory_assets.web.mlflow.conftest import MlflowSite
home = Home(Path(sys.argv[1]))
log = AccessLog(home)
factory = MlflowSite(home, mlflow_app(home, "/mlflow", log), log, "", "", "")
answers = [factory.ask(*one[:2], query=one[2], body=one[3]) for one in json.load(sys.stdin)]
assert not WITHOUT & sys.modules.keys()
print(json.dumps([[one.status, one.body.decode("latin-1")] for one in answers]))
"""


_QUERY = '{mlflowGetRun(input: {runId: "%s"}) {run {info {runId}}}}'


def requests_of(factory: MlflowSite) -> list[tuple[str, str, str, object]]:
    """Return method, path, query and body for each endpoint that everybody may read."""
    experiment, run = factory.experiment_id, factory.run_id
    query = {
        **{"run_id": run, "run_ids": run, "metric_key": "loss", "max_results": "10"},
        **{"experiment_id": experiment, "experiment_name": "m", "name": "m", "version": "1"},
    }
    bodies: dict[str, object] = {
        "/runs/search": {"experiment_ids": [experiment]},
        "/experiments/search": {"max_results": 10},
        "/experiments/search-datasets": {"experiment_ids": [experiment]},
        "/logged-models/search": {"experiment_ids": [experiment]},
        "/graphql": {
            "query": f'{{mlflowGetRun(input: {{runId: "{run}"}}) {{run {{info {{runId}}}}}}}}'
        },
        "/registered-models/get-latest-versions": {"name": "m"},
    }

    def request(one: Endpoint) -> tuple[str, str, str, object]:
        path = one.route.replace("<model_id>", factory.model_id)
        path = path.replace("<path:path>", "index.html")
        body = next((body for end, body in bodies.items() if path.endswith(end)), {})
        return one.method, f"{PREFIX}{path}", urlencode(query), body

    return [request(one) for one in READS]


def test_every_answer_is_the_same(factory: MlflowSite) -> None:
    requests = requests_of(factory)
    had = [factory.ask(*one[:2], query=one[2], body=one[3]) for one in requests]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(factory.home.path)],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout.splitlines()[-1])
    assert got == [[one.status, one.body.decode("latin-1")] for one in had]
    # All but the alias, which there is none of, and the traces.
    assert sum(status == 200 for status, _ in got) >= len(READS) - 3
