"""Records for tests of the prediction log."""

from collections.abc import Sequence

from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.journal import Journal
from factory_resources.prediction_log.record import PredictionRecord, encode


def record(number: int = 0, *, pipeline: str = "apples", rows: int = 1) -> PredictionRecord:
    """Return what is logged of an answer with this number in it."""
    return PredictionRecord(
        time=1_700_000_000_000_000 + number,
        duration=900,
        pipeline=pipeline,
        version=3,
        caller="night",
        protocol="plain",
        kind="answer",
        status=200,
        rows=rows,
        input=b'[{"weight":%d}]' % number,
        output=b"[0.25]",
    )


def payload(number: int = 0, *, pipeline: str = "apples", rows: int = 1) -> bytes:
    """Return its bytes."""
    return encode(record(number, pipeline=pipeline, rows=rows))


def write(
    journal: Journal, numbers: Sequence[int], ids: PredictionIds, *, pipeline: str = "apples"
) -> list[bytes]:
    """Write records durably; return their ids."""
    taken = [ids.take() for _ in numbers]
    for identifier, number in zip(taken, numbers, strict=True):
        journal.append(identifier, payload(number, pipeline=pipeline))
    journal.flush()
    return taken
