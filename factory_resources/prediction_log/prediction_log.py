"""The prediction log of a home: what a server writes, and what is asked of it afterwards.

How answers are written belongs in `journal`; how they get from there into the database, in
`collector`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.prediction_log.collector import collect, journal_folder
from factory_resources.prediction_log.engines import has_store, open_store
from factory_resources.prediction_log.ids import parse, request_of
from factory_resources.prediction_log.journal import Journal
from factory_resources.prediction_log.record import PredictionRecord, decode
from factory_resources.prediction_log.segments import OPEN, SEALED, read
from factory_resources.prediction_log.store import PredictionStore


@dataclass(frozen=True)
class FoundPrediction:
    """A logged answer that was asked for by the id of one of its rows."""

    row: int
    """Which of its rows, counted from 0."""
    record: PredictionRecord
    place: Literal["journal", "database"]
    block: str | None
    """The UUID of its block; None as long as it is in the journal."""


class PredictionLog:
    """The prediction log of one home, used by one thread.

    It keeps its connection to the database until it is closed: opening one takes longer than a
    look-up.

    Raises:
        StorageError: the disk or a database cannot be read or written.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._opened: PredictionStore | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; what is asked later opens it again."""
        if self._opened:
            self._opened.close()
            self._opened = None

    def journal(self) -> Journal:
        """Begin to write; the caller closes the journal."""
        return Journal(journal_folder(self._home))

    def collect(self) -> int:
        """Enter what was written in the ledger and the database; return how many blocks.

        Any number of processes may do so at any time.
        """
        with storage_faults(self._home):
            return collect(self._home, self._store)

    def find(self, written: str) -> FoundPrediction | None:
        """Return the answer that has a row with this id; None if there is none.

        Raises:
            UnknownNameError: the text is not an id.
        """
        request, row = request_of(parse(written))
        with storage_faults(self._home):
            found = self._stored(request, row) or self._waiting(request, row)
            # What left the journal in the meantime is stored now.
            found = found or self._stored(request, row)
        return found if found and row < max(1, found.record.rows) else None

    @property
    def _store(self) -> PredictionStore:
        if self._opened is None:
            self._opened = open_store(self._home)
        return self._opened

    def _stored(self, request: bytes, row: int) -> FoundPrediction | None:
        if self._opened is None and not has_store(self._home):
            return None
        found = self._store.find(request)
        if found is None:
            return None
        return FoundPrediction(row, decode(found.record), "database", found.block)

    def _waiting(self, request: bytes, row: int) -> FoundPrediction | None:
        folder = journal_folder(self._home)
        for pattern in (f"*{SEALED}", f"*{OPEN}"):
            for segment in folder.glob(pattern):
                payload = _payload(segment, request)
                if payload is not None:
                    return FoundPrediction(row, decode(payload), "journal", None)
        return None


def _payload(segment: Path, request: bytes) -> bytes | None:
    """Return the record of a request in a segment, which may be sealed or removed meanwhile."""
    try:
        for identifier, payload in read(segment):
            if identifier >= request:
                return payload if identifier == request else None
    except StorageError:
        if segment.exists():
            raise
        if segment.suffix == OPEN:
            return _payload(segment.with_suffix(SEALED), request)
    return None
