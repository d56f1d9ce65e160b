"""`factory ledger`: checkpoints for witnesses and from them, and the log as files of tlog-tiles."""

from pathlib import Path

from factory_assets.cli.shared import read_file
from factory_assets.declarations.settings import FILE, load_settings
from factory_assets.execution.ledger_entries import append_settings, begin_ledger
from factory_resources.errors import DeclarationError, UnknownNameError
from factory_resources.home.home import Home, storage_errors
from factory_resources.ledger.factory_verify import InvalidError, TrustPolicy, write_durably
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.tiles import write_tiles
from factory_resources.ledger.witnesses import add_cosignatures as add_to_log
from factory_resources.ledger.witnesses import request, witness_named


def write_request(name: str | None, out: Path) -> str:
    """Write the request to a witness, and return in one line what was written.

    Raises:
        FactoryError: there is no such witness, or a file or the ledger cannot be read or written.
    """
    policy, home = _policy(), Home.from_env()
    begin_ledger(home)
    append_settings(home)
    name, witness = witness_named(policy, name)
    with Ledger(home).writing() as log:
        size, content = request(log, witness)
    _write(out, content)
    return f"wrote {out}: the checkpoint of {size:,} entries, for {name} to cosign"


def add_cosignatures(file: Path) -> str:
    """Store the cosignatures in a file, and return in one line whose they are.

    Raises:
        FactoryError: the file is not a checkpoint of this ledger, or nobody known has cosigned it.
    """
    policy, home = _policy(), Home.from_env()
    content = read_file(file)
    try:
        with Ledger(home).writing() as log:
            names = add_to_log(log, content, policy)
    except InvalidError as error:
        raise UnknownNameError(
            str(error),
            where=str(file),
            remedy="give the file that the witness wrote from a request of this factory",
        ) from error
    return f"stored the cosignature of {', '.join(names)}"


def export_tiles(out: Path) -> str:
    """Write the log as files, and return in one line what was written.

    Raises:
        StorageError: a file cannot be written.
    """
    home = Home.from_env()
    begin_ledger(home)
    with Ledger(home).reading() as log:
        size = write_tiles(log, out, _write)
    return f"wrote {out}: {size:,} entries"


def _policy() -> TrustPolicy:
    declared = load_settings()
    if declared is None or declared.policy is None:
        raise DeclarationError(
            "no witness is declared",
            where=FILE,
            remedy="declare `witness: {required: 1, every: 1d}` in it, beside the pipelines, and "
            "the witnesses in witnesses.policy; docs/audit.md shows both",
        )
    return declared.policy


def _write(path: Path, content: bytes) -> None:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(str(path), content)
