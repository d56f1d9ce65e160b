"""`factory verify`: verify a home, a copy of one, or an evidence archive.

The verification is `factory_verify`, the file that auditors carry away. It runs in a process of its
own, with limits that hold for a whole process.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from factory_resources.home.database import server_address
from factory_resources.home.disk_space import is_read_only
from factory_resources.home.home import Home
from factory_resources.ledger import factory_verify
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log.archive import archiving_paused
from factory_resources.store.location import uses_store
from factory_resources.tables.snapshot import fetch

_OLDER = (
    "this home is older than the ledger, unless somebody removed it with its key: "
    "factory backup, or a run, begins one and enters what the home holds as found"
)


def verify(path: Path | None, options: Mapping[str, object], *, as_json: bool) -> int:
    """Print what was verified and what does not hold, and return the exit code."""
    given = [(name, str(value)) for name, value in options.items() if value is not None]
    words = [*chain.from_iterable(given), *(["--json"] if as_json else [])]
    home = Home.from_env()
    if path is not None:
        return _verifier([str(path), *words])
    if not Ledger(home).exists:
        code = _verifier([str(home.path), *words])
        if home.records.is_dir():
            click.echo(_OLDER, err=True)
        return code
    if uses_store(home):
        _fetch_tables(home)
    with _copied(home) as copies:
        return _verifier([str(home.path), *copies, *words])


def _verifier(words: list[str]) -> int:
    command = [sys.executable, "-I", factory_verify.__file__, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    click.echo(done.stdout, nl=False)
    click.echo(done.stderr, nl=False, err=True)
    return done.returncode


def _fetch_tables(home: Home) -> None:
    """Fetch the tables that are in the factory's store; say which files are not what was written.

    The verifier finds them missing then.
    """
    from factory_resources.store.store import ChangedObjectError, shared_store
    from factory_resources.tables.carrying_over import table_files

    store = shared_store(home)
    for path in table_files(store) if store else ():
        try:
            fetch([path], home)
        except ChangedObjectError as error:
            click.echo(f"problem: {error}", err=True)


@contextmanager
def _copied(home: Home) -> Iterator[list[str]]:
    """Yield the options that name copies: of the ledger, since runs go on while it is verified, and
    of the answers and outcomes that a server has."""
    with _still(home) as scratch:
        ledger = scratch / home.ledger.name
        copies = ["--ledger", str(ledger)]
        if address := server_address():
            from factory_resources.migration.answer_copies import copy_answers

            copy_answers(home, address, scratch)
            copies += ["--databases", str(scratch)]
        else:
            Ledger(home).copy(ledger)
        yield copies


@contextmanager
def _still(home: Home) -> Iterator[Path]:
    """Keep answers where they are, and yield a folder for copies."""
    if is_read_only(home):
        with TemporaryDirectory() as folder:
            yield Path(folder)
    else:
        with archiving_paused(home), home.scratch() as scratch:
            yield scratch
