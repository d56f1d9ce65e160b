"""Answers of a pack are traced, whether its log has come home, or is only at hand, or neither."""

import html
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from factory_assets.audit.trace.answer.finding import find_answer
from factory_assets.audit.trace.answer.report import AnswerTrace
from factory_assets.audit.trace.answer.trace import trace_answer
from factory_assets.cli.prediction import answer_text
from factory_assets.serving.edge import score as program
from factory_assets.web.lineage.page import trace_page
from factory_resources.errors import FactoryError, RefusedError, StorageError, UnknownNameError
from factory_resources.ledger.entries import EdgeLogReceived, EdgePacked
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log.prediction_log import PredictionLog
from tests.factory_assets.serving.edge.test_receive import Edge
from tests.factory_assets.serving.edge.test_receive import edge as edge
from tests.factory_assets.serving.edge.test_receive import packed as packed

pytestmark = pytest.mark.slow


def traced(edge: Edge, name: str, log: Path | None = None) -> AnswerTrace:
    folders = {"pump": edge.home.path.parent / "defs" / "pump"}
    return trace_answer(find_answer(name, edge.home, log), edge.home, folders=folders)


def _pack(edge: Edge) -> tuple[int, EdgePacked]:
    """Return the entry of the pack; the home may have others."""
    identity = sha256((edge.folder / program.CONTRACT).read_bytes()).hexdigest()
    found = Ledger(edge.home).latest(EdgePacked, EdgePacked.subject_of(pack=identity))
    assert found
    return found


def test_an_answer_that_came_home_is_traced_to_its_pack(edge: Edge) -> None:
    name = edge.answer(5)[0]
    edge.receive()
    found, (number, pack) = traced(edge, name), _pack(edge)
    received = Ledger(edge.home).latest(EdgeLogReceived, EdgeLogReceived.subject_of(pack=pack.pack))
    assert received is not None
    assert found.edge is not None
    assert (found.edge.pack, found.edge.entry, found.edge.key) == (pack.pack, number, pack.key)
    assert (found.edge.received_entry, found.edge.file) == (received[0], received[1].file)
    assert (found.edge.line, found.edge.findings) == (None, ())
    assert (found.standing.role, found.standing.entry) == ("pack", number)
    assert found.proof is not None
    assert found.proof.proven is True
    assert found.lineage is not None
    assert found.problems == ()
    for shown in (answer_text(found), trace_page(found)):
        assert pack.pack[:12] in shown
        assert pack.key in html.unescape(shown)
        assert f"its log came home {received[1].time[:16].replace('T', ' ')}" in shown
    contracts = [one.model_copy(update={"broken": {"known": 1}}) for one in found.contracts]
    logged = {"size": None, "name": {"commitment": "5e" * 32}, "colour": "red"}
    other = found.model_copy(update={"input": logged, "contracts": (*contracts,)})
    page = trace_page(other)
    for value in ('<span class="soft">missing</span>', f"commitment <code>{'5e' * 32}</code>"):
        assert f"<td>{value}</td>" in page, "not as Python writes it"
    for shown in (answer_text(other), page):
        assert "1 row broke known" in shown


def test_an_answer_that_did_not_come_home_is_said_to_be_missing_with_its_pack(edge: Edge) -> None:
    name, later = edge.answer(5)[0], _pack(edge)[1]
    with pytest.raises(UnknownNameError) as told:
        find_answer(name, edge.home)
    assert f"there is no prediction {name} in the log of this factory" in str(told.value)
    assert f"pump@1 in pack {later.pack[:12]}" in str(told.value)
    assert "--edge-log FILE" in str(told.value)
    edge.receive()
    # Given before the pack's log came home, so that it would have come too.
    with pytest.raises(UnknownNameError) as told:
        find_answer(name[:-2] + "ff", edge.home)
    assert later.pack[:12] not in str(told.value)


@pytest.mark.parametrize("named", ["folder", "log", "log alone"])
def test_an_answer_in_a_log_at_hand_is_traced_and_not_stored(
    edge: Edge, named: str, tmp_path: Path
) -> None:
    names = edge.answer(5, 500)
    path = {"folder": edge.folder, "log": edge.log}.get(named)
    if path is None:
        path = Path(shutil.copy(edge.log, tmp_path / "carried.jsonl"))
    with Ledger(edge.home).reading() as log:
        size = log.size
    found = traced(edge, names[0], path)
    assert found.edge is not None
    assert (found.edge.pack, found.edge.line) == (_pack(edge)[1].pack, 1)
    assert (found.edge.received, found.block, found.proof) == (None, None, None)
    assert (found.output["prediction"], found.protocol) == ("0", "edge")
    for shown in (answer_text(found), trace_page(found)):
        assert "its log has not come home" in shown
        assert "a checkpoint of the pack" in shown
    assert traced(edge, names[1], path).output["rules"] == ["range:size"]
    with Ledger(edge.home).reading() as log:
        assert log.size == size
    with PredictionLog(edge.home) as log_here:
        assert log_here.find(names[0]) is None


def test_a_changed_line_is_not_traced(edge: Edge) -> None:
    names = edge.answer(5, 6)
    edge.change(lambda lines: [lines[0].replace(b'"prediction"', b'"predictioN"'), *lines[1:]])
    with pytest.raises(UnknownNameError, match="no checkpoint of this log proves") as told:
        find_answer(names[0], edge.home, edge.log)
    assert "line 1 was changed" in str(told.value)
    found = traced(edge, names[1], edge.log)
    assert found.edge is not None
    assert found.edge.findings == ("line 1 was changed",)


def test_a_log_of_another_factory_or_none_is_refused(edge: Edge, tmp_path: Path) -> None:
    name = edge.answer(5)[0]
    strange = tmp_path / "strange.jsonl"
    strange.write_text('{"seq": 1, "prev": "' + "ab" * 32 + '"}\n')
    nested = tmp_path / "nested.jsonl"
    nested.write_bytes(b"[" * 100_000)
    cases: list[tuple[Path, type[FactoryError], str]] = [
        (strange, RefusedError, "its first line names no pack of this factory"),
        (nested, RefusedError, "its first line names no pack of this factory"),
        (tmp_path / "none.jsonl", StorageError, "there is no such log"),
    ]
    for path, kind, line in cases:
        with pytest.raises(kind, match=line):
            find_answer(name, edge.home, path)
    assert edge.log.name == program.LOG
