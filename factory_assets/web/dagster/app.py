"""Make the ASGI application of Dagster's UI for the front door."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from factory_assets.web.access_log import AccessLog
from factory_resources.errors import SettingError
from factory_resources.security.request_guard import App


@contextmanager
def dagster_app(workspace: Path, access_log: AccessLog, prefix: str = "/dagster") -> Iterator[App]:
    """Return the application, which needs a visitor in the scope of every request.

    Args:
        workspace: a `workspace.yaml` that names the socket of the code server.
        access_log: where acts and refusals are entered.
        prefix: the path below which the application answers; requests come with it.

    Raises:
        SettingError: telemetry is on: the pages would load a script from another host.
    """
    import dagster as dg
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster_webserver.version import __version__

    from factory_assets.web.dagster.attribution import attribute_runs
    from factory_assets.web.dagster.webserver import VisitorWebserver
    from factory_assets.web.dagster.workspace import VisitorWorkspace

    with dg.DagsterInstance.get() as instance:
        if instance.telemetry_enabled:
            raise SettingError("telemetry is on in dagster.yaml", remedy="start with `factory up`")
        attribute_runs(instance.run_storage)
        target = WorkspaceFileTarget(paths=[str(workspace)])
        with VisitorWorkspace(instance, target, version=__version__) as context:
            yield VisitorWebserver(context, prefix, access_log).create_asgi_app()
