"""Find one answer: in the log of a home, in a proof with an evidence archive, or in a pack's log.

How it is traced belongs in `trace`, how an archive is read in `archived_home`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.audit.archived_home import ArchivedHome
from factory_assets.audit.prediction import LoggedPrediction, describe_prediction
from factory_assets.audit.trace.answer.edge import missing_answer
from factory_assets.serving.edge.carried_log import CarriedAnswer, find_carried, find_in_pack
from factory_resources.errors import RefusedError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.entry import entry_time
from factory_resources.prediction_log.ids import parse, request_of
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.proofs import require_row
from factory_resources.prediction_log.record import PredictionRecord, decode

if TYPE_CHECKING:
    from factory_resources.ledger.factory_verify import PredictionProof


@dataclass(frozen=True)
class TracedAnswer:
    """An answer that was found, in the log of the home or in a file from elsewhere."""

    id: str
    row: int
    record: PredictionRecord
    block: str | None
    carried: CarriedAnswer | None = None
    proof: "PredictionProof | None" = None
    """A proof that came with it; None to take that of the log of the home."""

    @property
    def prediction(self) -> LoggedPrediction:
        """The answered row, as the record has it."""
        return describe_prediction(self.id, self.record, self.row, self.block)

    @property
    def moment(self) -> str:
        """When it was asked: UTC, ISO 8601, as entries of the ledger have it."""
        return entry_time(datetime.fromtimestamp(self.record.time / 1e6, UTC))


def find_answer(written: str, home: Home, edge_log: Path | None = None) -> TracedAnswer:
    """Return the answer with an id.

    Args:
        edge_log: a log that did not come home, to look in; None for the log of the home.

    Raises:
        UnknownNameError: there is none; it says what is missing, as far as that can be told.
        RefusedError, StorageError: a log cannot be read, or is not of this factory.
    """
    if edge_log:
        carried = find_carried(edge_log, written, home)
        return TracedAnswer(written, 0, carried.record, None, carried)
    with PredictionLog(home) as log:
        found = log.find(written)
    if found is None:
        raise missing_answer(written, home)
    return TracedAnswer(written, found.row, found.record, found.block)


def find_proven(written: str, prediction: bytes, archive: ArchivedHome) -> TracedAnswer:
    """Return the answer that a proof is about, which was verified with the archive.

    Args:
        prediction: as `factory answers prove` writes it.

    Raises:
        UnknownNameError: the proof is about another answer, or about none.
        RefusedError: another version than that of the archive gave it.
    """
    from factory_resources.ledger.factory_verify import PredictionProof

    proof = PredictionProof.parse(prediction)
    request, row = request_of(parse(written))
    if proof.identifier != request or proof.record is None:
        raise UnknownNameError(
            f"the proof is not about {written}",
            remedy=f"ask for another one: factory answers prove {written} --out proof.json",
        )
    require_row(proof.record, row)
    found = TracedAnswer(written, row, decode(proof.record), proof.leaves[0].block, proof=proof)
    _require_about(found, archive)
    return found


def find_in_log(written: str, edge_log: Path, archive: ArchivedHome) -> TracedAnswer:
    """Return the answer in the log of a pack.

    Raises:
        UnknownNameError: the log proves no such answer.
        StorageError: the log, or the pack beside it, cannot be read.
        RefusedError: the archive has no entry of the pack, or is about another version.
    """
    carried = _carried(written, edge_log, archive)
    found = TracedAnswer(written, 0, carried.record, None, carried)
    _require_about(found, archive)
    return found


def _carried(written: str, edge_log: Path, archive: ArchivedHome) -> CarriedAnswer:
    if archive.about is None:
        return find_in_pack(edge_log, written)
    try:
        return find_carried(edge_log, written, archive.home)
    except RefusedError as error:
        about = f"{archive.about.pipeline}@{archive.about.version}"
        raise RefusedError(
            "the archive has no entry of this pack",
            where=error.where,
            remedy=f"ask for one that was written since then: factory evidence {about}",
        ) from error


def _require_about(answer: TracedAnswer, archive: ArchivedHome) -> None:
    about = archive.about
    gave = answer.record.pipeline, answer.record.version
    if about and gave != (about.pipeline, about.version):
        name = f"{gave[0]}@{gave[1]}"
        raise RefusedError(
            f"the archive is about {about.pipeline}@{about.version}, and {name} gave this answer",
            remedy=f"ask for its evidence: factory evidence {name}",
        )
