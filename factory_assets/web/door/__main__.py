"""Run the front door as `factory up` does: `python -m factory_assets.web.door`."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser
from pathlib import Path

from factory_assets.web.door.refused_imports import refuse_imports
from factory_resources.interpreter import collect_less
from factory_resources.security.offline import go_offline


def main() -> None:
    """Serve until SIGTERM; a mistake is one line and exit code 2."""
    go_offline()
    collect_less()
    refuse_imports()
    from factory_assets.serving.http.listen import Listen
    from factory_assets.web.door.address import DoorAddress
    from factory_assets.web.door.server import serve_door
    from factory_resources.errors import FactoryError
    from factory_resources.home.home import Home

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    parser = ArgumentParser(prog="factory_assets.web.door")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", dest="names", action="append", default=[])
    parser.add_argument("--public-port", type=int)
    parser.add_argument("--tls-cert", type=Path)
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--behind-proxy", action="store_true")
    given = parser.parse_args()
    listen = Listen(given.host, given.port, given.tls_cert, given.tls_key, given.behind_proxy)
    address = DoorAddress(listen, tuple(given.names), given.public_port)
    try:
        serve_door(Home.from_env(), given.workspace, address)
    except FactoryError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
