"""What is written before an erasure is entered goes if it is not, and is there if it is."""

from typing import Any

import pytest

from factory_assets.erasure import staging
from factory_assets.erasure.intents import ErasureIntent, unfinished
from factory_assets.erasure.signing import ErasureDecision
from factory_assets.erasure.staging import StagedErasure, enter
from factory_assets.execution.ledger_entries import begin_ledger
from factory_resources.erasure.manifest import manifest_file, stored_intents
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.erasure_entries import ErasureBegun, ErasureListed
from factory_resources.ledger.ledger import Ledger
from tests.erasures import note_erased

DECISION = ErasureDecision("request 117", None)


def _staged(home: Home) -> StagedErasure:
    begin_ledger(home)
    manifest = note_erased(home, {"0" * 64: [1]})
    manifest_file(home, manifest.id).unlink()
    intent = ErasureIntent(
        manifest=manifest, records={}, partitions={}, where="nbr = 1", values=(), not_searched=0
    )
    return StagedErasure(intent, 1, ())


@pytest.mark.parametrize("step", ["store_intent", "store_manifest"])
def test_one_that_cannot_be_stored_keeps_no_row_out_of_later_runs(
    step: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StorageError("the disk is full", remedy="free space")

    staged = _staged(home)
    monkeypatch.setattr(staging, step, full)
    with pytest.raises(StorageError, match="the disk is full"):
        enter(staged, DECISION, home)
    assert not manifest_file(home, staged.intent.manifest.id).exists()
    assert stored_intents(home) == []


def test_one_that_was_entered_has_its_manifest_and_entries_of_one_time(home: Home) -> None:
    staged = _staged(home)
    erasure = staged.intent.manifest.id
    enter(staged, DECISION, home)
    assert [one.manifest.id for one in unfinished(home)] == [erasure]
    assert manifest_file(home, erasure).exists()
    begun = Ledger(home).latest(ErasureBegun, ErasureBegun.subject_of(erasure=erasure))
    listed = Ledger(home).latest(ErasureListed, ErasureListed.subject_of())
    assert begun
    assert listed
    assert listed[1].time == begun[1].time
