"""CPU that the front door adds to an answer: Dagster's own web server against ours, in one process.

python -m benchmarks.front_door
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.measure import Result
from factory_assets.web.visitor import ALL_ROLES, Visitor, set_visitor
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.ledger.ledger import Ledger
from factory_resources.security.request_guard import App, Message

FACTOR = 1.1
ROUNDS, REPEATS = 25, 20

ASSETS = """query AssetGraphLive { assetNodes { ...Node } }
fragment Node on AssetNode { id groupName opNames isPartitioned assetKey { path } ...State }
fragment State on AssetNode { id staleStatus assetMaterializations(limit: 1) { timestamp runId } }
"""

REQUESTS: Mapping[str, tuple[str, str, str]] = {
    "Dagster's answer of all assets": ("POST", "/dagster/graphql", ASSETS),
    "Dagster's shortest answer": ("POST", "/dagster/graphql", "query V { version }"),
    "Dagster's page": ("GET", "/dagster/overview", ""),
}


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        return _dagster(Path(name))


def _dagster(folder: Path) -> list[Result]:
    home = Home(folder / "home")
    prepare(home)
    Ledger(home).begin()
    workspace = folder / "workspace.yaml"
    workspace.write_text("load_from:\n  - python_module: factory_assets.definitions\n")

    import dagster as dg
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster_webserver.app import create_app_from_workspace_process_context

    from factory_assets.web.access_log import AccessLog
    from factory_assets.web.dagster.app import dagster_app

    target = WorkspaceFileTarget(paths=[str(workspace)])
    with (
        dagster_app(home, workspace, AccessLog(home)) as ours,
        dg.DagsterInstance.get() as instance,
        WorkspaceProcessContext(instance, target, version=dg.__version__) as context,
    ):
        plain = create_app_from_workspace_process_context(context, "/dagster")
        return [
            _compare(
                name,
                lambda request=request: _cpu(ours, *request),
                lambda r=request: _cpu(plain, *r),
            )
            for name, request in REQUESTS.items()
        ]


def _compare(name: str, ours: Callable[[], float], plain: Callable[[], float]) -> Result:
    """Compare the CPU seconds of one request; the two alternate, so that other load hits both."""
    pairs = [(ours(), plain()) for _ in range(ROUNDS)]
    # The smallest: other load of the machine can only add time.
    own, bare = (min(side) for side in zip(*pairs, strict=True))
    return Result(
        name,
        f"CPU {own * 1e3:.2f} ms, {own / bare:.2f}x of {bare * 1e3:.2f} ms without the front door",
        f"<= {FACTOR:g}x",
        own <= FACTOR * bare,
    )


def _cpu(app: App, method: str, path: str, query: str) -> float:
    """Return the CPU seconds of one of several requests, without a socket."""
    before = time.process_time()
    asyncio.run(_ask(app, method, path, json.dumps({"query": query}).encode()))
    return (time.process_time() - before) / REPEATS


async def _ask(app: App, method: str, path: str, body: bytes) -> None:
    visitor = Visitor(name="Ann", roles=ALL_ROLES, session="0" * 64)
    for _ in range(REPEATS):
        scope: Message = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "scheme": "http",
            "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")],
        }
        set_visitor(scope, visitor)
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message, into: list[Message] = sent) -> None:
            into.append(message)

        await app(scope, receive, send)
        assert sent[0]["status"] == 200, sent


if __name__ == "__main__":
    for result in run():
        print(result.name, result.measured, result.target, sep=": ")
