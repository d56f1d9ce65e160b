"""An answer is proven, and that there was none; whoever changes a proof or a record is found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import read_entry
from factory_resources.ledger.factory_verify import InvalidError, PredictionProof
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.prediction_entries import PredictionsLogged
from factory_resources.prediction_log import prediction_log
from factory_resources.prediction_log.ids import PredictionIds, parse, text
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.proofs import with_entry
from factory_resources.prediction_log.record import decode
from tests.engines import ON_FILES
from tests.factory_resources.prediction_log.homes import fill, verify
from tests.factory_resources.prediction_log.homes import log as log
from tests.factory_resources.prediction_log.samples import payload, write


def _blocks(home: Home) -> list[dict[str, Any]]:
    with Ledger(home).reading() as reading:
        entries = [read_entry(body) for _, body in reading.bodies()]
    return [entry.model_dump() for entry in entries if isinstance(entry, PredictionsLogged)]


@pytest.mark.parametrize("count", [1, 2, 5, 256, 300])
def test_every_kind_of_place_in_a_block_is_proven(
    log: PredictionLog, home: Home, count: int
) -> None:
    [_, taken] = fill(log, PredictionIds(), [3, count])
    for number in {0, 1 % count, count // 2, count - 1}:
        proof = log.prove(text(taken[number]))
        assert proof.record == payload(3 + number)
        assert PredictionProof.parse(proof.format()) == proof
        assert proof.verify(_blocks(home))


def test_an_id_between_answers_is_proven_to_be_that_of_none(log: PredictionLog, home: Home) -> None:
    ids = PredictionIds()
    journal = log.journal()
    unused = []
    for number in range(6):
        write(journal, [number], ids)
        unused.append(ids.take())
    journal.close()
    log.collect()
    outside = unused.pop()
    for identifier in unused:
        proof = log.prove(text(identifier))
        assert len(proof.leaves) == 2
        assert proof.verify(_blocks(home)) is False
        assert PredictionProof.parse(proof.format()) == proof
    with pytest.raises(UnknownNameError, match="nobody can tell yet whether it was given out"):
        log.prove(text(outside))
    with pytest.raises(InvalidError, match="nobody can tell yet whether it was given out"):
        PredictionProof(outside, None, ()).verify(_blocks(home))
    with pytest.raises(InvalidError, match="nobody can tell yet"):
        PredictionProof(unused[0], None, ()).verify([])
    [taken] = fill(log, ids, [1])
    assert taken[0] > outside
    proof = log.prove(text(outside))
    assert (proof.leaves, proof.verify(_blocks(home))) == ((), False)


def test_a_row_of_a_request_is_not_proven_to_be_that_of_none(
    log: PredictionLog, home: Home
) -> None:
    [taken] = fill(log, PredictionIds(), [3])
    leaves = tuple(log.prove(text(taken[number])).leaves[0] for number in (0, 1))
    for row in (0, 1, 999):
        identifier = parse(text(taken[0], row))
        with pytest.raises(InvalidError, match="is not between the leaves"):
            PredictionProof(identifier, None, leaves).verify(_blocks(home))


def test_an_id_before_all_answers_is_proven_to_be_that_of_none(
    log: PredictionLog, home: Home
) -> None:
    ids = PredictionIds()
    before = ids.take()
    fill(log, ids, [2])
    proof = log.prove(text(before))
    assert (proof.leaves, proof.verify(_blocks(home))) == ((), False)


def test_an_id_beyond_the_rows_of_its_request_is_not_proven_as_that_of_another_row(
    log: PredictionLog, home: Home
) -> None:
    [[taken]] = fill(log, PredictionIds(), [1])
    rows = decode(log.prove(text(taken)).record or b"").rows
    assert log.prove(text(taken, rows - 1)).verify(_blocks(home))
    with pytest.raises(
        UnknownNameError, match=f"there is no row {rows + 1}: its request has {rows} row"
    ):
        log.prove(text(taken, rows))


def test_absence_needs_neighbours_from_every_block_around_the_id(
    log: PredictionLog, home: Home
) -> None:
    ids = PredictionIds()
    one, other = log.journal(), log.journal()
    write(one, [0], ids)
    write(other, [1], ids)
    unused = ids.take()
    write(one, [2], ids)
    write(other, [3], ids)
    one.close()
    other.close()
    log.collect()
    proof = log.prove(text(unused))
    assert len({leaf.block for leaf in proof.leaves}) == 2
    assert proof.verify(_blocks(home)) is False
    half = PredictionProof(proof.identifier, None, proof.leaves[:2])
    with pytest.raises(InvalidError, match="no two neighbours"):
        half.verify(_blocks(home))


def test_what_is_still_in_the_journal_is_not_proven_yet(log: PredictionLog) -> None:
    journal, ids = log.journal(), PredictionIds()
    [identifier] = write(journal, [1], ids)
    with pytest.raises(UnknownNameError, match="still in the journal; try again in a minute"):
        log.prove(text(identifier))
    journal.close()


def test_what_leaves_the_journal_meanwhile_is_proven(
    log: PredictionLog, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, ids = log.journal(), PredictionIds()
    [identifier] = write(journal, [1], ids)
    journal.close()
    segments_of = prediction_log.segments_of

    def collected(folder: Path) -> list[Path]:
        with PredictionLog(home) as other:
            assert other.collect() == 1
        return segments_of(folder)

    monkeypatch.setattr(prediction_log, "segments_of", collected)
    proof = log.prove(text(identifier))
    assert proof.record is not None
    assert proof.identifier == identifier


def test_a_record_that_was_deleted_cannot_be_proven_absent(log: PredictionLog) -> None:
    [taken] = fill(log, PredictionIds(), [3])
    log.database.run("DELETE FROM prediction WHERE id = ?", [taken[1]])
    with pytest.raises(UnknownNameError, match="were removed"):
        log.prove(text(taken[1]))


def _changed(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    def apply(proof: bytes) -> bytes:
        value = json.loads(proof)
        change(value)
        return json.dumps(value).encode()

    return apply


@ON_FILES
@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda v: v.update(record="QQ=="), "of another answer"),
        (lambda v: v.update(record=None), "no two neighbours"),
        (lambda v: v.update(id="0" * 32), "of another answer"),
        (lambda v: v["leaves"][0].update(index=1), "does not lead to the root"),
        (lambda v: v["leaves"][0].update(block="x"), "has no block"),
        (lambda v: v["leaves"][0]["hashes"].pop(), "does not lead to the root"),
        (lambda v: v["leaves"].pop(), "has one leaf"),
        (lambda v: v.update(format=2), "newer format"),
        (lambda v: v["leaves"][0].update(id="zz"), "is not an id"),
        (lambda v: v["leaves"][0].update(hashes=[1]), "no valid 'hashes'"),
        (lambda v: v["entry"].update(body="{}"), "the entry of the block is not in the log"),
        (lambda v: v["entry"].update(proof=""), "is not a proof"),
    ],
)
def test_a_changed_proof_of_an_answer_is_refused(
    log: PredictionLog, home: Home, change: Callable[[dict[str, Any]], None], what: str
) -> None:
    [taken] = fill(log, PredictionIds(), [5])
    proof = with_entry(log.prove(text(taken[2])), home).format()
    assert verify(home, proof).holds
    report = verify(home, _changed(change)(proof))
    assert [finding.what for finding in report.problems if what in finding.what]


@ON_FILES
def test_a_proof_with_the_entry_of_another_block_is_refused(log: PredictionLog, home: Home) -> None:
    """What a person reads in it would not be what was verified."""
    [[first], [second]] = fill(log, PredictionIds(), [1, 1])
    proofs = (with_entry(log.prove(text(one)), home) for one in (first, second))
    proof, other = (json.loads(one.format()) for one in proofs)
    report = verify(home, json.dumps({**proof, "entry": other["entry"]}).encode())
    [finding] = [one for one in report.problems if one.file == "--prediction"]
    assert finding.what == "the proof has the entry of another block"


def _shift(value: dict[str, Any]) -> None:
    value["leaves"][1]["index"] += 1


def _swap(value: dict[str, Any]) -> None:
    value["leaves"].reverse()


@ON_FILES
@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_shift, "does not lead to the root"),
        (_swap, "are no neighbours"),
        (lambda v: v.update(id=v["leaves"][0]["id"]), "is not between"),
        (lambda v: v["leaves"].pop(), "no two neighbours"),
    ],
)
def test_a_changed_proof_of_absence_is_refused(
    log: PredictionLog, home: Home, change: Callable[[dict[str, Any]], None], what: str
) -> None:
    journal, ids = log.journal(), PredictionIds()
    write(journal, range(3), ids)
    unused = ids.take()
    write(journal, range(3, 6), ids)
    journal.close()
    log.collect()
    proof = log.prove(text(unused)).format()
    report = verify(home, proof)
    assert report.holds
    assert [note for note in report.notes if "is the id of no answer in the ledger" in note.what]
    report = verify(home, _changed(change)(proof))
    assert [finding.what for finding in report.problems if what in finding.what]


def test_leaves_that_are_no_neighbours_prove_no_absence(log: PredictionLog, home: Home) -> None:
    [taken] = fill(log, PredictionIds(), [5])
    outer = [log.prove(text(taken[number])).leaves[0] for number in (1, 3)]
    with pytest.raises(InvalidError, match="are no neighbours"):
        PredictionProof(taken[2], None, tuple(outer)).verify(_blocks(home))


@settings(max_examples=300)
@given(data=st.data())
def test_a_proof_with_other_bytes_is_refused_in_one_line(
    data: st.DataObject, proven: tuple[bytes, list[dict[str, Any]]]
) -> None:
    content, blocks = proven
    place = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[place] ^= data.draw(st.integers(1, 255))
    refused = ""
    try:
        proof = PredictionProof.parse(bytes(changed))
        assert proof.verify(blocks)
    except InvalidError as error:
        refused = str(error)
    # What is between the values says nothing.
    assert refused or proof == PredictionProof.parse(content)
    assert "\n" not in refused


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[dict[str, Any]]]:
    """A proof, and the entries of all blocks."""
    home = Home(tmp_path_factory.mktemp("proven") / "home")
    Ledger(home).begin()
    with PredictionLog(home) as log:
        [taken] = fill(log, PredictionIds(), [5])
        return log.prove(text(taken[2])).format(), _blocks(home)
