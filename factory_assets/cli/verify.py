"""`factory verify`: verify a home, a copy of one, or an evidence archive.

The verification is `factory_verify`, the file that auditors carry away. It runs in a process of its
own, with limits that hold for a whole process.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from factory_resources.home.database import server_address
from factory_resources.home.disk_space import is_read_only
from factory_resources.home.home import Home
from factory_resources.ledger import factory_verify
from factory_resources.ledger.factory_verify import amount
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log.archive import archiving_paused
from factory_resources.store.location import uses_store
from factory_resources.tables.snapshot import fetch
from factory_resources.tracking.records import finish_records

_OLDER = (
    "this home has no ledger: it is older than that, or somebody removed the ledger with its key; "
    "factory backup or a run begins one and enters what is here, marked as found"
)


_ATTEMPTS = 3
"""How often a home is verified, at most, if it does not hold and the ledger has grown meanwhile."""


def verify(path: Path | None, options: Mapping[str, object], *, as_json: bool) -> int:
    """Print what was verified and what does not hold, and return the exit code."""
    given = [(name, str(value)) for name, value in options.items() if value is not None]
    words = [*chain.from_iterable(given), *(["--json"] if as_json else [])]
    home = Home.from_env()
    if path is not None:
        return _show(_verifier([str(path), *words]))
    if not Ledger(home).exists:
        code = _show(_verifier([str(home.path), *words]))
        if home.records.is_dir():
            click.echo(_OLDER, err=True)
        return code
    if uses_store(home):
        _fetch_tables(home)
    finish_records(home)
    for _ in range(_ATTEMPTS):
        size = _size(home)
        with _copied(home) as copies:
            done = _verifier([str(home.path), *copies, *words])
        # Files of an act are in place after its entry: they were compared with a ledger without it.
        came = _size(home) - size
        if done.returncode != 1 or not came:
            return _show(done)
    note = (
        f"{amount(came, 'entries')} came meanwhile, and problems may be due to what they are about"
    )
    return _show(done, f"{note}: verify again when nothing runs", as_json=as_json)


def _verifier(words: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", factory_verify.__file__, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _show(done: subprocess.CompletedProcess[str], note: str = "", *, as_json: bool = False) -> int:
    """Print what the verifier said, with one more note if there is one; return its exit code."""
    said = done.stdout
    if note and as_json:
        value = json.loads(said)
        value["notes"].append(vars(factory_verify.Finding(note)))
        said = json.dumps(value, indent=1) + "\n"
    click.echo(said, nl=False)
    click.echo(done.stderr, nl=False, err=True)
    if note and not as_json:
        click.echo(f"note: {note}", err=True)
    return done.returncode


def _size(home: Home) -> int:
    """Return how many entries the ledger has, of acts that are done."""
    with ExitStack() as paused:
        if not is_read_only(home):
            paused.enter_context(home.acts_paused())
        with Ledger(home).reading() as log:
            return log.size


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
