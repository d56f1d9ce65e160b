"""Homes with a prediction log, on either engine."""

from collections.abc import Iterator, Sequence

import pytest

from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import (
    Expectation,
    VerificationReport,
    verify_path,
)
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.prediction_log import PredictionLog
from tests.factory_resources.prediction_log.samples import write


@pytest.fixture
def log(home: Home, engine: str) -> Iterator[PredictionLog]:
    """The prediction log of a home with a ledger."""
    Ledger(home).begin()
    with PredictionLog(home) as opened:
        yield opened


def fill(log: PredictionLog, ids: PredictionIds, counts: Sequence[int]) -> list[list[bytes]]:
    """Log one block of each size, stored; return the ids of each."""
    journal, blocks, start = log.journal(), [], 0
    for count in counts:
        blocks.append(write(journal, range(start, start + count), ids))
        start += count
        journal.roll()
    journal.close()
    log.collect()
    return blocks


def verify(home: Home, proof: bytes | None = None) -> VerificationReport:
    """Return what the verifier says of a home, and of a proof about one answer."""
    report, _ = verify_path(str(home.path), Expectation(prediction=proof))
    return report


def problems(home: Home) -> list[str]:
    return [str(problem) for problem in verify(home).problems]
