"""`factory serve`: answer prediction requests over HTTP until Ctrl-C.

The server itself belongs in `factory_assets.serving.http`.
"""

import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from factory_assets.monitoring.labelled import LabelledAnswers
from factory_assets.serving.http.listen import Listen
from factory_assets.serving.http.server import serve
from factory_resources.home.home import Home


class _JsonLines(logging.Formatter):
    """One JSON object a line, without values of requests."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0]:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def serve_champions(names: Sequence[str], listen: Listen) -> None:
    """Serve the champions of the pipelines, or of all.

    Raises:
        FactoryError: the server cannot start.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # What a stranger sends must not fill the disk with warnings.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    def started(address: str) -> None:
        click.echo(f"predictions  {address}  (documentation: {address}/docs)")

    home = Home.from_env()
    serve(home, names, listen, started, LabelledAnswers(home))
