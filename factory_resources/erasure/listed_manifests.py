"""Require the manifests of erasures that the ledger lists: by them, runs leave out erased rows.

Not a part of `manifest`, by which sources are read: what an edit of the ledger's code changes is
not to be ingested anew.
"""

from hashlib import sha256

from factory_resources.erasure.manifest import RESTORE, manifest_file
from factory_resources.errors import StorageError
from factory_resources.home.home import Home, unreadable
from factory_resources.ledger.erasure_entries import ErasureListed
from factory_resources.ledger.ledger import Ledger, entries_in


def require_manifests(home: Home) -> None:
    """Require that every manifest is as the ledger lists it.

    It lists none of erasures by earlier versions of the factory.

    Raises:
        StorageError: one is missing, was changed, or cannot be read.
    """
    ledger = Ledger(home)
    if not ledger.exists:
        return
    with ledger.reading() as log:
        entries = [*entries_in(log, ErasureListed, ErasureListed.subject_of())]
    for _, entry in entries:
        _require(entry, home)


def _require(listed: ErasureListed, home: Home) -> None:
    path = manifest_file(home, listed.erasure)
    try:
        if sha256(path.read_bytes()).hexdigest() == listed.manifest:
            return
        fault = "was changed"
    except FileNotFoundError:
        fault = "is missing"
    except OSError as error:
        raise unreadable(path, error) from error
    raise StorageError(
        f"the manifest of an erasure {fault}",
        where=str(path),
        remedy=RESTORE,
    )
