"""Make the ASGI application of Dagster's UI for the front door."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from factory_assets.web.access_log import AccessLog
from factory_assets.web.dagster.code_server import answers
from factory_resources.dagster_databases import ask_less, import_orm
from factory_resources.errors import SettingError
from factory_resources.home.home import Home
from factory_resources.security.request_guard import App

_LOADED_WITHIN = 120.0
"""Seconds for which the application waits for the code server."""


@contextmanager
def dagster_app(home: Home, workspace: Path, access_log: AccessLog) -> Iterator[App]:
    """Return the application below `/dagster`, which needs a visitor in the scope of every request.

    Args:
        home: of the environment.
        workspace: a `workspace.yaml` that names the socket of the code server.
        access_log: where acts and refusals are entered.

    Raises:
        SettingError: telemetry is on: the pages would load a script from another host.
    """
    code = _code_server(workspace)
    deadline = time.monotonic() + _LOADED_WITHIN
    # Before, pages would show an error.
    while code and not answers(code) and time.monotonic() < deadline:
        time.sleep(0.1)
    import dagster as dg
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster_webserver.version import __version__

    from factory_assets.web.dagster.attribution import attribute_runs
    from factory_assets.web.dagster.unwatched import following
    from factory_assets.web.dagster.webserver import VisitorWebserver
    from factory_assets.web.dagster.workspace import VisitorWorkspace

    import_orm()
    ask_less()
    with dg.DagsterInstance.get() as instance:
        if instance.telemetry_enabled:
            raise SettingError("telemetry is on in dagster.yaml", remedy="start with `factory up`")
        attribute_runs(instance.run_storage)
        target = WorkspaceFileTarget(paths=[str(workspace)])
        with ExitStack() as stack:
            context = stack.enter_context(VisitorWorkspace(instance, target, code, __version__))
            if code:
                stack.enter_context(following(context, code))
            yield VisitorWebserver(home, context, "/dagster", access_log).create_asgi_app()


def _code_server(workspace: Path) -> Path | None:
    """Return the socket of the code server; None if Dagster is to start one by itself."""
    for one in yaml.safe_load(workspace.read_text(encoding="utf-8"))["load_from"]:
        if path := one.get("grpc_server", {}).get("socket"):
            return Path(path)
    return None
