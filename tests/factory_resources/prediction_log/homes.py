"""Homes with a prediction log, on either engine."""

import json
from collections.abc import Iterator, Sequence

import pytest

from factory_assets.erasure.signing import ErasureDecision, begun_entry
from factory_resources.erasure.manifest import ErasureManifest, manifest_file
from factory_resources.home.home import Home
from factory_resources.ledger.erasure_entries import ErasureDone
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
    enter_erasures(home)
    report, _ = verify_path(str(home.path), Expectation(prediction=proof))
    return report


def problems(home: Home) -> list[str]:
    return [str(problem) for problem in verify(home).problems]


def enter_erasures(home: Home) -> None:
    """Decide the erasures that answers and outcomes were erased for, unless that was entered."""
    with Ledger(home).reading() as reading:
        bodies = [json.loads(body) for _, body in reading.bodies()]
    decided = {one["subject"] for one in bodies if one["kind"] == "erasure"}
    for erasure in {one["erasure"] for one in bodies if "erasure" in one}:
        if f"erasure/{erasure}" in decided:
            continue
        manifest = ErasureManifest(
            id=erasure, sources={}, pipelines={}, files={}, records={}, removed=()
        )
        file = manifest_file(home, erasure)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(manifest.content)
        done = ErasureDone(subject=f"erasure_done/{erasure}", searched=0, not_searched=0, found=0)
        decision = ErasureDecision("asked for", None)
        Ledger(home).append([begun_entry(manifest, 0, decision, home), done])
