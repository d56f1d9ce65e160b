"""What the ledger says of erasures that took rows from a model version."""

from collections.abc import Iterator

from factory_assets.audit.trace.report import RowsErased
from factory_resources.erasure.manifest import manifests
from factory_resources.home.home import Home
from factory_resources.ledger.erasure_entries import ErasureBegun
from factory_resources.ledger.ledger import Ledger


def erasures_from(pipeline: str, version: int, home: Home) -> Iterator[RowsErased]:
    """Yield the erasures of rows that a version learned from, the oldest first.

    Raises:
        StorageError: the manifest of an erasure was damaged.
    """
    for manifest in manifests(home):
        erased = manifest.pipelines.get(pipeline)
        if erased is None or version not in erased.versions:
            continue
        subject = ErasureBegun.subject_of(erasure=manifest.id)
        if entered := Ledger(home).latest(ErasureBegun, subject):
            yield RowsErased(erasure=manifest.id, entry=entered[0], time=entered[1].time)
