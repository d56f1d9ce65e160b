"""`python -m factory_assets.web.door`: Dagster's web server behind the factory's guard.

Takes the options of `dagster-webserver`. Refuses to serve an instance with telemetry on: its pages
would load a script from elsewhere.
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

    # The server has no other place to put something before its own middleware and static files.
    setattr(cli, name, guarded)
    cli.cli()


if __name__ == "__main__":
    main()
