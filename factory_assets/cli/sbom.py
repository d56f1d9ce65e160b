"""`factory sbom`: write a bill of materials of a model version, or record all that comes with it.

What it contains belongs in `factory_assets.exchange`.
"""

from pathlib import Path
from typing import Literal

from factory_assets.cli.output_file import write_document
from factory_assets.cli.shared import select_version
from factory_assets.exchange.described_version import describe_version
from factory_assets.exchange.model_bom import model_bom
from factory_assets.exchange.software_bom import software_bom
from factory_assets.exchange.version_documents import make_documents
from factory_assets.execution.ledger_entries import require_ledger
from factory_assets.execution.supply_chain import record_supply_chain
from factory_resources.home.home import Home

BomKind = Literal["sbom", "ml-bom"]


def write_bom(name: str, kind: BomKind, out: Path) -> str:
    """Write a bill of materials, and return in one line what it lists.

    Raises:
        FactoryError: there is no such version, a record cannot be read, or the file not be written.
    """
    home = Home.from_env()
    require_ledger(home)
    described = describe_version(*select_version(name), home)
    found = software_bom(described)
    if kind == "ml-bom":
        found = model_bom(described, found)
    write_document(out, found.json)
    return f"wrote {out}: {kind} of {described.name}, {len(found.components)} components"


def record(name: str) -> str:
    """Store and enter all that comes with a version, and return in one line what was done.

    Raises:
        FactoryError: there is no such version, a file of it was changed, or the ledger cannot be
            written.
    """
    home = Home.from_env()
    require_ledger(home)
    pipeline, number = select_version(name)
    described = describe_version(pipeline, number, home)
    version = described.version.version
    documents = make_documents(pipeline, version, home)
    entry, is_new = record_supply_chain(pipeline.name, version, documents, home)
    if not is_new:
        return f"entry {entry} has the same SBOM, ML-BOM and statement of {described.name} already"
    return (
        f"entered SBOM, ML-BOM and statement of {described.name} (entry {entry})\n"
        "from now on it serves only while none of them, and none of its files, is changed"
    )
