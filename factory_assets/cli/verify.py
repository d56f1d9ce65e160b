"""`factory verify`: verify a home, a copy of one, or an evidence archive.

The verification is `factory_verify`, the file that auditors carry away.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from factory_resources.home.home import Home
from factory_resources.ledger.connection import in_postgres
from factory_resources.ledger.factory_verify import main as verifier
from factory_resources.ledger.ledger import Ledger


def verify(path: Path | None, options: Mapping[str, object], *, as_json: bool) -> int:
    """Print what was verified and what does not hold, and return the exit code."""
    home = Home.from_env()
    given = [(name, str(value)) for name, value in options.items() if value is not None]
    words = [*chain.from_iterable(given), *(["--json"] if as_json else [])]
    if path is not None or not in_postgres():
        return verifier([str(path or home.path), *words])
    with _copied(home) as file:
        return verifier([str(home.path), "--ledger", str(file), *words])


@contextmanager
def _copied(home: Home) -> Iterator[Path]:
    """Yield a copy of the ledger in PostgreSQL as a SQLite file."""
    with home.scratch() as scratch:
        file = scratch / home.ledger.name
        Ledger(home).copy(file)
        yield file
