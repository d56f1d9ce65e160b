"""Whose ledger is on the server: that of the home which has its key, or another factory's."""

from factory_resources.errors import StorageError
from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.home.home import Home
from factory_resources.ledger.connection import has_tables
from factory_resources.ledger.keys import key_file, origin_of
from factory_resources.ledger.ledger import Ledger


def foreign_ledger(home: Home) -> str | None:
    """Return the name of the ledger if the home has the key of another one; else None.

    Its checkpoint and the key both name it; whether it was changed, whoever appends to it sees.
    """
    own = origin_of(home)
    return None if own is None or (name := _name(home)) == own else name


def require_own_ledger(home: Home) -> None:
    """Require that a database which the home meets has no ledger, or the one whose key it has.

    Otherwise its runs would be those of another factory, and this one would end them as killed.

    Raises:
        StorageError: it has another one.
    """
    if not has_tables(home):
        return
    if origin_of(home) is None:
        raise StorageError(
            f"the database has the ledger of a factory, and {key_file(home)} is missing",
            where=DATABASE_VARIABLE,
            remedy="name the home that began it in FACTORY_HOME, or copy the key from there or "
            "from a backup",
        )
    if name := foreign_ledger(home):
        raise StorageError(
            f"the database has the ledger of another factory, {name}",
            where=DATABASE_VARIABLE,
            remedy=f"name that of {home.path}, or in FACTORY_HOME the home of that factory",
        )


def _name(home: Home) -> str:
    with Ledger(home).reading() as log:
        _, checkpoint = log.signed
    return checkpoint.partition("\n")[0]
