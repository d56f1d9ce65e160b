"""Run Dagster's daemon as `factory up` does: `python -m factory_assets.cli.daemon WORKSPACE CODE`.

It does what `dagster-daemon run` does, but follows a link to the code server.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_resources.interpreter import collect_less
from factory_resources.security.offline import go_offline

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._daemon.daemon import DagsterDaemon

    from factory_assets.web.dagster.unwatched import UnwatchedWorkspace

_KEPT = timedelta(days=366)
"""How long a schedule that is not there stays switched on or off as it was."""

_LOOK = 10.0
"""Seconds between two looks at the pipelines that did not load."""


def keep_switches() -> None:
    """Let a schedule stay as somebody has switched it, while its pipeline is broken or away.

    Dagster forgets that after 12 hours, and then what is declared would count. It reads this when
    it is imported.
    """
    seconds = str(int(_KEPT.total_seconds()))
    os.environ.setdefault("DAGSTER_SCHEDULE_ORPHANED_STATE_RETENTION_SECONDS", seconds)


def keep_places(workspace: "UnwatchedWorkspace") -> None:
    """Let a schedule that is on as declared go on where it was once its pipeline loads again.

    Dagster forgets it at once, and then nobody would catch up for the times that passed meanwhile.
    """
    instance = workspace.instance
    delete = instance.delete_instigator_state

    def delete_unless_broken(origin_id: str, selector_id: str) -> None:
        state = instance.get_instigator_state(origin_id, selector_id)
        broken = _broken_pipelines(workspace)
        if not state or not any(state.instigator_name.startswith(f"{one}_") for one in broken):
            delete(origin_id, selector_id)

    # Dagster has no setting for it.
    instance.delete_instigator_state = delete_unless_broken  # type: ignore[method-assign]


def _broken_pipelines(workspace: "UnwatchedWorkspace") -> set[str]:
    """Return the names of the pipelines that did not load."""
    from factory_assets.components.attributes import BROKEN

    entries = workspace.create_request_context().get_code_location_entries().values()
    repositories = [
        repository
        for entry in entries
        if entry.code_location
        for repository in entry.code_location.get_repositories().values()
    ]
    keys = (key for one in repositories for key in one.asset_graph.get_all_asset_keys())
    return {key.path[0] for key in keys if key.path[1:] == [BROKEN]}


@contextmanager
def reloading(workspace: "UnwatchedWorkspace", code: Path, pause: float = _LOOK) -> Iterator[None]:
    """Ask for another code server as soon as a pipeline that did not load would.

    It may read files for which no pipeline is loaded again, such as a table of carbon.

    Args:
        code: the link to the socket of the code server.
        pause: seconds between two looks.
    """
    from factory_assets.web.dagster.code_server import reload_request
    from factory_assets.web.dagster.unwatched import repeatedly

    asked = set[str]()

    def look() -> None:
        nonlocal asked
        broken = _broken_pipelines(workspace)
        right = broken - _wrong_declarations(broken)
        # One that fails for another reason would do so again: once is enough.
        if right - asked and code.parent.is_dir():
            reload_request(code).touch()
        asked = right

    with repeatedly(look, pause, name="broken-pipelines"):
        yield


def _wrong_declarations(names: set[str]) -> set[str]:
    """Return those of the pipelines whose declaration is wrong now."""
    if not names:
        return names
    from factory_assets.declarations.dependencies import load_beside_others
    from factory_assets.declarations.folders import pipeline_folders

    wrong = set()
    for folder in pipeline_folders():
        try:
            if folder.name in names:
                load_beside_others(folder)
        except Exception:  # noqa: BLE001 - the code server tells which
            wrong.add(folder.name)
    return wrong


def _daemons(instance: "DagsterInstance") -> "list[DagsterDaemon[Any]]":
    """Return Dagster's daemons, with the factory's own in place of the one that retries runs."""
    from dagster._daemon.controller import create_daemons_from_instance

    from factory_assets.cli.retries import RetryDaemon

    retrying = RetryDaemon.daemon_type()
    return [
        RetryDaemon() if one.daemon_type() == retrying else one
        for one in create_daemons_from_instance(instance)
    ]


def main() -> None:
    """Run schedules, sensors and queued runs until SIGTERM.

    The arguments are a `workspace.yaml` and the link to the socket of the code server it names.
    """
    go_offline()
    collect_less()
    keep_switches()
    from dagster import DagsterInstance
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster._daemon.controller import DagsterDaemonController
    from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers
    from dagster._utils.log import configure_loggers

    from factory_assets.web.dagster.unwatched import UnwatchedWorkspace, following
    from factory_resources.dagster_databases import ask_less, import_orm
    from schedules.future_ticks import end_future

    import_orm()
    ask_less()
    workspace, code = sys.argv[1], Path(sys.argv[2])
    setup_interrupt_handlers()
    configure_loggers(handler="default", log_level="INFO")
    try:
        with ExitStack() as stack:
            stack.enter_context(capture_interrupts())
            instance = stack.enter_context(DagsterInstance.get())
            end_future(instance, time.time())
            daemons = [stack.enter_context(one) for one in _daemons(instance)]
            target = WorkspaceFileTarget(paths=[workspace])
            context = stack.enter_context(UnwatchedWorkspace(instance, target, code))
            stack.enter_context(following(context, code))
            keep_places(context)
            stack.enter_context(reloading(context, code))
            controller = stack.enter_context(DagsterDaemonController(context, daemons))
            controller.check_daemon_loop()
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
