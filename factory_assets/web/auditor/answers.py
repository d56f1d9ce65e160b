"""Find an answer and what proves it, also in the archive: in a process that imports no Arrow.

Its way back to the sources belongs in `factory_assets.audit.trace.answer`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import InvalidError
from factory_resources.ledger.ledger import latest_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.prediction_entries import PredictionsLogged
from factory_resources.prediction_log.archive import files_of
from factory_resources.prediction_log.ids import day_of, parse, request_of
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.proofs import prove_answer
from factory_resources.prediction_log.record import PredictionRecord, decode
from factory_resources.prediction_log.store import PredictionStore, StoredPrediction
from factory_resources.sql.engine import engine_errors, literal, sealed

if TYPE_CHECKING:
    from factory_resources.ledger.factory_verify import PredictionProof


@dataclass(frozen=True)
class FoundAnswer:
    """An answer with its proof."""

    id: str
    row: int
    """Which row of its request it is, from 0."""
    record: PredictionRecord
    block: str | None
    """None as long as it is in the journal."""
    proof: PredictionProof | None
    """None as long as it is in the journal."""

    def is_proven(self, log: Log) -> bool | None:
        """Whether the record leads to the root in its block's entry; None if it has no block."""
        if self.proof is None or self.block is None:
            return None
        subject = PredictionsLogged.subject_of(block=self.block)
        found = latest_in(log, PredictionsLogged, subject)
        try:
            return bool(found and self.proof.verify([found[1].model_dump()]))
        except InvalidError:
            return False


def find_answer_on_record(written: str, home: Home) -> FoundAnswer | None:
    """Return the answer with an id; None if there is none.

    Raises:
        UnknownNameError: the text is not an id.
        StorageError: the log cannot be read.
    """
    request, row = request_of(parse(written))
    with PredictionLog(home) as log:
        stored = _stored(log, request, home)
        if stored:
            record = decode(stored.record)
            found = FoundAnswer(written, row, record, stored.block, _proof(log.database, stored))
        else:
            # Its day is not archived, so nothing here reads Arrow.
            waiting = None if _archive_of(home, request) else log.find(written)
            if waiting is None:
                return None
            found = FoundAnswer(written, row, waiting.record, None, None)
    return found if row < max(1, found.record.rows) else None


def _stored(log: PredictionLog, request: bytes, home: Home) -> StoredPrediction | None:
    from factory_resources.prediction_log.engines import has_store

    if not has_store(home):
        return None
    return log.database.find(request) or _archived(home, request)


def _proof(store: PredictionStore, stored: StoredPrediction) -> PredictionProof | None:
    with suppress(ValueError):
        return prove_answer(store, stored)
    return None


def _archive_of(home: Home, request: bytes) -> list[Path]:
    """Return the files of the archive that may have a request."""
    files = files_of(home, day_of(request))
    return [file.path for file in files if file.first <= request <= file.last]


def _archived(home: Home, request: bytes) -> StoredPrediction | None:
    paths = _archive_of(home, request)
    if not paths:
        return None
    error = engine_errors("the archive", StorageError, "look again: files of it may have moved")
    query = "SELECT block, leaf, record FROM read_parquet({}) WHERE id = ?"
    with (
        home.scratch() as scratch,
        error,
        sealed(read=paths, write=scratch, threads=1) as connection,
    ):
        for path in paths:
            rows = connection.execute(query.format(literal(str(path))), [request]).fetchall()
            for block, leaf, record in rows:
                return StoredPrediction(request, str(block), int(leaf), bytes(record))
    return None
