"""Run Dagster's daemon as `factory up` does: `python -m factory_assets.cli.daemon WORKSPACE CODE`.

It does what `dagster-daemon run` does, but follows a link to the code server.
"""

import sys
from contextlib import ExitStack
from pathlib import Path

from factory_resources.interpreter import collect_less
from factory_resources.security.offline import go_offline


def main() -> None:
    """Run schedules, sensors and queued runs until SIGTERM.

    The arguments are a `workspace.yaml` and the link to the socket of the code server it names.
    """
    go_offline()
    collect_less()
    from dagster import DagsterInstance
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster._daemon.controller import DagsterDaemonController, create_daemons_from_instance
    from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers
    from dagster._utils.log import configure_loggers

    from factory_assets.web.dagster.unwatched import UnwatchedWorkspace, following
    from factory_resources.instance import import_orm

    import_orm()
    workspace, code = sys.argv[1], Path(sys.argv[2])
    setup_interrupt_handlers()
    configure_loggers(handler="default", log_level="INFO")
    try:
        with ExitStack() as stack:
            stack.enter_context(capture_interrupts())
            instance = stack.enter_context(DagsterInstance.get())
            daemons = [stack.enter_context(one) for one in create_daemons_from_instance(instance)]
            target = WorkspaceFileTarget(paths=[workspace])
            context = stack.enter_context(UnwatchedWorkspace(instance, target, code))
            stack.enter_context(following(context, code))
            controller = stack.enter_context(DagsterDaemonController(context, daemons))
            controller.check_daemon_loop()
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
