"""What proves an answer, or that no answer has its id.

Its way back to the sources belongs in `factory_assets.audit.trace.answer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_resources.home.home import Home
from factory_resources.ledger.ledger import latest_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.prediction_entries import PredictionsLogged
from factory_resources.prediction_log.prediction_log import PredictionLog

if TYPE_CHECKING:
    from factory_resources.ledger.factory_verify import PredictionProof


def proof_of(written: str, home: Home) -> PredictionProof:
    """Return the proof about the id of an answer.

    Raises:
        UnknownNameError: the text is not an id, or that cannot be proven yet or any more.
        StorageError: the log cannot be read.
    """
    with PredictionLog(home) as log:
        return log.prove(written)


def is_proven(written: str, block: str, log: Log, home: Home) -> bool:
    """Whether the record of an answer leads to the root in its block's entry."""
    from factory_resources.ledger.factory_verify import InvalidError

    found = latest_in(log, PredictionsLogged, PredictionsLogged.subject_of(block=block))
    try:
        return bool(found and proof_of(written, home).verify([found[1].model_dump()]))
    except InvalidError:
        return False
