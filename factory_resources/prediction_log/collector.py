"""Collect the sealed segments of the journal: into the ledger, then the database, then remove them.

An interrupted step is repeated: the ledger has one entry for each block, the database one row for
each record, and a segment is removed once both have it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from factory_resources.durability import sync_path
from factory_resources.errors import StorageError
from factory_resources.home.home import Home, storage_errors
from factory_resources.prediction_log.blocks import PredictionBlock, read_block
from factory_resources.prediction_log.journal import recover
from factory_resources.prediction_log.segments import SEALED, first_id
from factory_resources.prediction_log.store import PredictionStore

if TYPE_CHECKING:
    from factory_resources.ledger.entries import Kind
    from factory_resources.ledger.log import Log

_LOCK = "predictions"

_GROUP_BYTES = 32 * 1024 * 1024
"""Size of the segments whose entries are appended to the ledger at once."""


class ChangedSegmentError(StorageError):
    """A segment that has other records than those that were entered in the ledger."""


def journal_folder(home: Home) -> Path:
    """Return the folder of the segments of a home."""
    return home.predictions / "journal"


def collecting_paused(home: Home) -> AbstractContextManager[None]:
    """Keep all processes from collecting segments during the `with` block."""
    return home.lock(_LOCK)


def collect(home: Home, store: PredictionStore) -> int:
    """Store the sealed segments, and those whose writer has ended; return how many blocks.

    Raises:
        StorageError: the disk or a database cannot be written, or a segment was changed; the
            others are stored nonetheless.
    """
    stored, errors = 0, list[StorageError]()
    with collecting_paused(home):
        try:
            recover(journal_folder(home))
        except StorageError as error:
            errors.append(error)
        for segments in _groups(journal_folder(home)):
            blocks = dict[Path, PredictionBlock]()
            for segment in segments:
                try:
                    blocks[segment] = read_block(segment)
                except StorageError as error:
                    errors.append(error)
            for segment, block in _entered(home, blocks, errors).items():
                store.add(block)
                remove_segment(segment)
                stored += 1
    if errors:
        raise errors[0]
    return stored


def _entered(
    home: Home, blocks: Mapping[Path, PredictionBlock], errors: list[StorageError]
) -> Mapping[Path, PredictionBlock]:
    """Enter blocks in the ledger, together if none was changed; return those that it has."""
    try:
        enter(home, [*blocks.values()])
        return blocks
    except ChangedSegmentError:
        entered = dict[Path, PredictionBlock]()
    for segment, block in blocks.items():
        try:
            enter(home, [block])
            entered[segment] = block
        except ChangedSegmentError as error:
            errors.append(error)
    return entered


def _groups(folder: Path) -> Iterator[list[Path]]:
    """Yield the sealed segments in groups of limited size, the oldest first."""
    group, size = list[Path](), 0
    for path in sorted(folder.glob(f"*{SEALED}"), key=first_id):
        group.append(path)
        size += path.stat().st_size
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def enter(home: Home, blocks: Sequence[PredictionBlock]) -> None:
    """Append the entries of blocks to the ledger, unless it has them.

    Raises:
        ChangedSegmentError: the ledger has another entry of one of these blocks.
    """
    from factory_resources.ledger.ledger import Ledger

    def missing(log: "Log") -> list["Kind"]:
        return [entry for block in blocks if (entry := _missing(log, block))]

    if blocks:
        Ledger(home).append_decided(missing)


def _missing(log: "Log", block: PredictionBlock) -> "Kind | None":
    from factory_resources.ledger.ledger import latest_in
    from factory_resources.ledger.prediction_entries import PredictionsLogged

    subject = PredictionsLogged.subject_of(block=block.identity)
    known = latest_in(log, PredictionsLogged, subject)
    if known is None:
        return PredictionsLogged(
            subject=subject,
            block=block.identity,
            root=block.root.hex(),
            first=block.first.hex(),
            last=block.last.hex(),
            count=len(block.records),
            bytes=sum(len(payload) for _, payload in block.records),
        )
    if known[1].root != block.root.hex():
        raise ChangedSegmentError(
            f"segment {block.identity} of the prediction journal was changed: entry {known[0]} of "
            "the ledger names other records",
            remedy="restore the segment from a backup",
        )
    return None


def remove_segment(segment: Path) -> None:
    """Remove a segment whose records are in the database."""
    with storage_errors(segment):
        segment.unlink()
        sync_path(segment.parent)
