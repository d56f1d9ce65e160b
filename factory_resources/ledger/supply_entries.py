"""The kind of entry about the supply chain of a model version."""

from typing import Literal

from factory_resources.ledger.entry import Entry, Sha256


class SupplyChainRecorded(Entry):
    """The bills of materials of a version, and the statement about its files, were stored."""

    SUBJECT = "supply/{pipeline}@{version}"

    kind: Literal["supply_chain"] = "supply_chain"
    subject: str
    pipeline: str
    version: int
    sbom: Sha256
    ml_bom: Sha256
    statement: Sha256
    """The digests of three files in the home: `supply/{pipeline}/{digest}.json`."""
