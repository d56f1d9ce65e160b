"""What the ledger says of erasures: rows that they took from a model version, and files."""

from collections.abc import Collection, Iterator
from hashlib import sha256
from pathlib import Path

from factory_assets.audit.trace.report import RowsErased
from factory_resources.erasure.manifest import ErasureManifest, manifest_file, manifests
from factory_resources.home.home import Home
from factory_resources.ledger.erasure_entries import ErasureBegun, ErasureDone
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.statements import ERASURES, statement_file
from factory_resources.tracking.record import Record


def entered_erasures(home: Home) -> Iterator[tuple[ErasureManifest, int, ErasureBegun]]:
    """Yield the erasures whose manifest is as the ledger has it, each with its entry.

    Raises:
        StorageError: the manifest of an erasure was damaged.
    """
    for manifest in manifests(home):
        subject = ErasureBegun.subject_of(erasure=manifest.id)
        entered = Ledger(home).latest(ErasureBegun, subject)
        if entered and entered[1].manifest == sha256(manifest.content).hexdigest():
            yield manifest, *entered


def erased_files(home: Home) -> frozenset[str]:
    """Return the paths in the home of all files that erasures removed; raises as they do."""
    return frozenset(
        path
        for manifest, *_ in entered_erasures(home)
        for path in (*manifest.removed, *manifest.files)
    )


def erasures_of(
    pipeline: str, version: int, home: Home
) -> Iterator[tuple[ErasureManifest, int, ErasureBegun]]:
    """Yield the entered erasures of rows that a version learned from; raises as they do."""
    for manifest, number, entry in entered_erasures(home):
        erased = manifest.pipelines.get(pipeline)
        if erased and version in erased.versions:
            yield manifest, number, entry


def erasures_from(pipeline: str, version: int, home: Home) -> Iterator[RowsErased]:
    """Yield what a trace says of these erasures."""
    for manifest, number, entry in erasures_of(pipeline, version, home):
        yield RowsErased(erasure=manifest.id, entry=number, time=entry.time)


def erasures_behind(records: Collection[str], home: Home) -> Iterator[RowsErased]:
    """Yield the entered erasures that took something from records, named by their paths."""
    for manifest, number, entry in entered_erasures(home):
        if manifest.records.keys() & set(records):
            yield RowsErased(erasure=manifest.id, entry=number, time=entry.time)


def erasure_papers(
    pipeline: str, version: int, records: Collection[Record], home: Home
) -> Iterator[tuple[list[int], Path]]:
    """Yield the files that prove the erasures of rows of a version, each with its entries.

    Args:
        records: those that the version was made from, and those about it.
    """
    names = {record.name for record in records}
    for manifest, number, entry in entered_erasures(home):
        erased = manifest.pipelines.get(pipeline)
        learned = erased is not None and version in erased.versions
        if not learned and not manifest.records.keys() & names:
            continue
        done = Ledger(home).latest(ErasureDone, ErasureDone.subject_of(erasure=manifest.id))
        yield [number, *([done[0]] if done else [])], manifest_file(home, manifest.id)
        if entry.statement:
            yield [number], statement_file(home, ERASURES, entry.statement)
