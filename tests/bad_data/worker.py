"""A separate process that ingests, so that a hang, a crash or a bomb does not stop the tests.

It is used for one case after another, and replaced if it does not answer.
"""

import multiprocessing
import resource
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

SECONDS = 60
"""Seconds after which a case counts as hanging."""
_FILE = 512 * 1024**2
"""Bytes of the largest file that a case may write."""


@dataclass(frozen=True)
class Seen:
    """The outcome of one ingestion; if it was refused, only the message `said`."""

    said: str | None
    columns: tuple[str, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    broken: tuple[dict[str, Any], ...] = ()
    quarantined: tuple[tuple[str, int], ...] = ()
    rows_read: int = 0
    sources: tuple[tuple[str, int], ...] = ()
    """SHA-256 and number of rows of each file."""
    crash: str | None = None
    megabytes: float = 0.0


class Worker:
    """A process that ingests one folder after another."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def ingest(self, folder: Path) -> Seen:
        """Run the stage ingest of the pipeline declared in `folder`, in the home `folder/home`."""
        self._pipe.send(folder)
        try:
            answered = self._pipe.poll(SECONDS)
            if answered:
                seen: Seen = self._pipe.recv()
                return seen
        except EOFError:
            answered = True
        self.stop()
        code = self._process.exitcode
        self._start()
        return Seen(None, crash=f"the process died ({code})" if answered else "it hangs")

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(pipe: Connection) -> None:
    import traceback

    from factory_resources.security.offline import go_offline

    go_offline()
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE, _FILE))
    while True:
        try:
            folder: Path = pipe.recv()
        except EOFError:
            return
        try:
            seen = _ingest(folder)
        except BaseException:  # noqa: BLE001 (the test reports any error)
            seen = Seen(None, crash=traceback.format_exc())
        pipe.send(seen)


def _ingest(folder: Path) -> Seen:
    from factory_assets.declarations.loader import load_pipeline
    from factory_assets.execution.requests import StageRequest
    from factory_assets.execution.runner import run_stage
    from factory_assets.results.data import IngestResult
    from factory_resources.errors import FactoryError
    from factory_resources.home.home import Home
    from factory_resources.tables.snapshot import read_arrow

    home = Home(folder / "home")
    try:
        outcome = run_stage(StageRequest(load_pipeline(folder), "ingest", home, "run"))
    except FactoryError as error:
        return Seen(str(error), megabytes=_peak())
    value = outcome.value
    assert isinstance(value, IngestResult)
    table = read_arrow(value.snapshot, home)
    broken = read_arrow(value.quarantine, home).to_pylist() if value.quarantine else []
    return Seen(
        None,
        tuple(table.column_names),
        tuple(table.to_pylist()),
        tuple(broken),
        tuple(value.quarantined.items()),
        value.rows_read,
        tuple((source.sha256, source.rows) for source in value.sources),
        megabytes=_peak(),
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
