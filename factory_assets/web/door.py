"""Run Dagster's web server behind the factory's request guard: `python -m factory_assets.web.door`.

It takes the options of `dagster-webserver`. It refuses an instance with telemetry on, whose pages
would load a script from another host. Which requests the guard lets through is decided in
`factory_resources.security.request_guard`.
"""

import sys
from typing import Any

from factory_resources.security.offline import go_offline
from factory_resources.security.request_guard import Guard


def main() -> None:
    go_offline()
    import dagster as dg
    from dagster_webserver import cli

    with dg.DagsterInstance.get() as instance:
        if instance.telemetry_enabled:
            sys.exit("error: telemetry is on in dagster.yaml; start with `factory up`")
    name = "create_app_from_workspace_process_context"
    create = getattr(cli, name)

    def guarded(*args: Any, **kwargs: Any) -> Guard:
        return Guard(create(*args, **kwargs))

    # The server has no hook for middleware that runs before its own and before its static files.
    setattr(cli, name, guarded)
    cli.cli()


if __name__ == "__main__":
    main()
