"""`factory evidence`: write the archive about a model version.

What it contains belongs in `factory_assets.audit.evidence`.
"""

import shlex
from pathlib import Path

from factory_assets.audit.evidence import collect, write
from factory_assets.cli.output_file import whole_output
from factory_assets.cli.shared import read_file
from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.declarations.loader import pipeline_named
from factory_assets.execution.ledger_entries import require_ledger
from factory_assets.execution.ledger_state import ledger_state
from factory_assets.ml.artifacts.trained_model import DESCRIPTION, Description
from factory_resources.errors import StorageError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import InvalidError
from factory_resources.tracking.registry import Version


def write_evidence(name: str, out: Path, since: Path | None, *, with_rows: bool) -> str:
    """Write the archive, and return in one line what it contains.

    Raises:
        FactoryError: there is no such version, or a file cannot be read or written.
    """
    home = Home.from_env()
    require_ledger(home)
    if out.exists() and not out.is_file():
        raise StorageError(
            "cannot write the archive here: this is not a file",
            where=str(out),
            remedy="name a new file, such as evidence.zip",
        )
    evidence = collect(name, home, with_rows=with_rows)
    kept = read_file(since) if since else None
    try:
        with whole_output(out) as unfinished:
            write(evidence, home, unfinished, kept, out)
    except InvalidError as error:
        raise UnknownNameError(
            str(error),
            where=str(since),
            remedy="give a checkpoint that factory verify --keep wrote",
        ) from error
    state, last = ledger_state(home), max(evidence.entries)
    unseen = (
        f"\nno witness of the policy has seen its entry {last} yet, so the evidence does not "
        "satisfy the policy: let a witness see it (factory ledger exchange), then write it again"
        if state and state.witnesses.seen <= last
        else ""
    )
    rows = "with rows" if with_rows else "without rows"
    names = ", ".join(_sensitive_categories(evidence.version))
    held = f"; the model's files have values of sensitive columns: {names}" if names else ""
    version = f"{evidence.version.model}@{evidence.version.version}"
    files = len(evidence.files) + len(evidence.supply)
    return (
        f"wrote {out}: {len(evidence.entries)} entries and {files} files about "
        f"{version}, {rows}{held}\n"
        f"verify it anywhere: python factory_verify.py {shlex.quote(out.name)}{unseen}"
    )


def _sensitive_categories(version: Version) -> list[str]:
    """Return the columns, now declared as sensitive, of which the files of a model have values."""
    described = Description.stored((version.files / DESCRIPTION).read_bytes())
    declared = pipeline_named(version.model)
    sensitive = sensitive_columns(declared) if declared else {}
    return [one.name for one in described.features.categorical if one.name in sensitive]
