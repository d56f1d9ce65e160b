"""The log of a pack comes home whole, or it is told what is missing."""

import base64
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from factory_assets.audit.trace.answer.finding import find_answer
from factory_assets.erasure.answers import matching_requests
from factory_assets.serving.edge import score as program
from factory_assets.serving.edge.pack import write_pack
from factory_assets.serving.edge.receive import ReceivedLog, receive_log
from factory_resources.errors import RefusedError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import EdgeLogReceived
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log import archiving
from factory_resources.prediction_log.ids import parse
from factory_resources.prediction_log.logged_rows import logged_rows
from factory_resources.prediction_log.prediction_log import PredictionLog
from tests.factory_assets.serving.edge.cases import Factory, row, score
from tests.factory_resources.prediction_log.homes import enter_erasures
from tests.ledger import problems
from tests.long_run import one_in

pytestmark = pytest.mark.slow


class Edge:
    """A pack, and a copy of the home that wrote it."""

    def __init__(self, folder: Path, home: Home) -> None:
        self.folder, self.home = folder, home

    @property
    def log(self) -> Path:
        return self.folder / program.LOG

    @property
    def lines(self) -> list[bytes]:
        return self.log.read_bytes().splitlines(keepends=True)

    def answer(self, *sizes: float) -> list[str]:
        """Open the model, score rows, and close it."""
        with program.Model(str(self.folder)) as model:
            answers = model.predict([row(**{"Size [mm]": size}) for size in sizes])
        return [answer["id"] for answer in answers]

    def change(self, change: Callable[[list[bytes]], list[bytes]]) -> None:
        self.log.write_bytes(b"".join(change(self.lines)))

    def receive(self) -> ReceivedLog:
        return receive_log(self.folder, self.home)

    def stored(self, names: list[str]) -> list[bool]:
        with PredictionLog(self.home) as log:
            return [log.find(name) is not None for name in names]


@pytest.fixture(scope="module")
def packed(factory: Factory, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Home]:
    """A pack, and the home that has its entry."""
    root = tmp_path_factory.mktemp("packed")
    home = Home(Path(shutil.copytree(factory.home.path, root / "home")))
    return write_pack("pump", root / "pack", home).folder, home


@pytest.fixture
def edge(packed: tuple[Path, Home], tmp_path: Path) -> Edge:
    """A copy of both."""
    home = Path(shutil.copytree(packed[1].path, tmp_path / "home"))
    return Edge(Path(shutil.copytree(packed[0], tmp_path / "pack")), Home(home))


def changed(line: bytes, **values: Any) -> bytes:
    """Return a line with other values, everything else as it was."""
    return json.dumps({**json.loads(line), **values}).encode() + b"\n"


def test_answers_come_home_once(edge: Edge) -> None:
    names = edge.answer(5, 500) + edge.answer(95)
    first = edge.receive()
    assert (first.answers, first.proven, first.findings, first.notes) == (3, 3, (), ())
    assert edge.stored(names) == [True] * 3
    matching = matching_requests(edge.home, "pump", "owner = 'ann'", {})
    assert (matching.requests, matching.hidden) == ((), ("owner",))
    found = find_answer(names[0], edge.home).prediction
    assert (found.pipeline, found.version, found.protocol) == ("pump", 1, "edge")
    assert found.input is not None
    assert found.input["Size [mm]"] == 5
    assert [*found.input["owner"]] == ["commitment"]
    assert found.output["prediction"] == "0"
    assert find_answer(names[1], edge.home).prediction.output["rules"] == ["range:size"]
    size = _ledger_size(edge.home)
    again = edge.receive()
    assert (again.answers, again.proven) == (0, 3)
    assert again.known is not None
    assert _ledger_size(edge.home) == size
    names = edge.answer(7)
    assert edge.receive().answers == 1
    assert edge.stored(names) == [True]
    assert problems(edge.home) == []


def test_answers_are_looked_up_together(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    names, alone = edge.answer(5, 95), list[str]()
    with monkeypatch.context() as patch:
        patch.setattr(PredictionLog, "find", lambda _, name: alone.append(name))
        assert [edge.receive().answers for _ in range(2)] == [2, 0]
    assert alone == []
    assert edge.stored(names) == [True] * 2


STRANGE: list[Any] = [math.nan, -math.inf, 10**400, "half \ud800", [[math.nan]], {"a": "\udfff"}]


def _rows_at_home(edge: Edge, names: list[str]) -> list[Any]:
    """Return what the log at home has of the column `code` in each of these requests."""
    with PredictionLog(edge.home) as log:
        records = dict(log.records([parse(name) for name in names]))
    return [logged_rows(records[parse(name)])[0]["code"] for name in names]


def test_what_is_no_json_comes_home_as_the_text_that_was_read(edge: Edge) -> None:
    with program.Model(str(edge.folder)) as model:
        answers = model.predict([row(code=strange) for strange in STRANGE])
    assert [answer["prediction"] for answer in answers] == [None] * len(STRANGE)
    json.loads(json.dumps(answers), parse_constant=pytest.fail)
    assert edge.receive().findings == ()
    names = [answer["id"] for answer in answers]
    expected = ["nan", "-inf", str(10**400), "half ?", "[[NaN]]", '{"a":"?"}']
    assert _rows_at_home(edge, names) == expected


def test_what_an_older_program_wrote_comes_home_so_that_it_can_be_read(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(program, "plain_value", lambda value: value)
        with program.Model(str(edge.folder)) as model:
            names = [answer["id"] for answer in model.predict([row(code=one) for one in STRANGE])]
    assert b"NaN" in edge.lines[0]
    assert edge.receive().findings == ()
    expected = ["nan", "-inf", str(10**400), "half ?", "[[NaN]]", '{"a":"?"}']
    assert _rows_at_home(edge, names) == expected


def test_an_empty_log_comes_home(edge: Edge) -> None:
    received = edge.receive()
    assert (received.answers, received.findings, received.notes) == (0, (), ())


def test_a_changed_answer_is_told_and_not_stored(edge: Edge) -> None:
    early = edge.answer(5)
    names = edge.answer(6, 7, 8)
    later = edge.answer(9)
    edge.change(lambda lines: [*lines[:3], changed(lines[3], prediction="1"), *lines[4:]])
    received = edge.receive()
    assert received.findings == ("line 4 was changed",)
    # What a checkpoint proves behind and before the change is stored.
    assert edge.stored(early + names + later) == [True, False, False, True, True]
    assert received.notes[0].startswith("2 answers are not proven")
    entry = Ledger(edge.home).latest(EdgeLogReceived, f"edge_log/{received.pack.pack}")
    assert entry is not None
    assert entry[1].findings == received.findings
    assert problems(edge.home) == []


def test_a_dropped_answer_is_told(edge: Edge) -> None:
    names = edge.answer(5, 6, 7, 8)
    edge.change(lambda lines: [*lines[:1], *lines[3:]])
    received = edge.receive()
    assert received.findings == ("lines 2 to 3 are missing",)
    assert edge.stored(names) == [False, False, False, True]


def test_a_missing_beginning_is_told(edge: Edge) -> None:
    edge.answer(5)
    names = edge.answer(6)
    edge.change(lambda lines: lines[2:])
    received = edge.receive()
    assert received.findings == ("lines 1 to 2 are missing",)
    assert edge.stored(names) == [True]


def test_a_line_that_cannot_be_read_is_told(edge: Edge) -> None:
    edge.answer(5, 6)
    edge.change(lambda lines: [b"{]\n", *lines[1:]])
    assert edge.receive().findings == (
        "line 1 of the file cannot be read",
        "line 1 is missing",
    )


def test_what_is_restored_comes_home_later(edge: Edge) -> None:
    names = edge.answer(5, 6, 7)
    whole = edge.log.read_bytes()
    edge.change(lambda lines: lines[1:])
    assert edge.receive().answers == 2
    edge.log.write_bytes(whole)
    received = edge.receive()
    assert (received.answers, received.findings) == (1, ())
    assert edge.stored(names) == [True] * 3


def test_a_truncated_tail_is_told_as_soon_as_it_came_home(edge: Edge) -> None:
    edge.answer(5)
    edge.answer(6)
    edge.receive()
    edge.change(lambda lines: lines[:2])
    [finding] = edge.receive().findings
    assert finding.startswith("the 4 lines that came home ")
    assert finding.endswith(" are missing now")


def test_half_a_line_is_told_and_the_next_start_cuts_it(edge: Edge) -> None:
    names = edge.answer(5)
    whole = edge.log.read_bytes()
    edge.log.write_bytes(whole + b'{"kind": "answer", "seq": 3, "pr')
    received = edge.receive()
    assert (received.answers, received.findings) == (1, ())
    assert received.notes == ("the last 32 bytes are half a line, which was not answered",)
    names += edge.answer(6)
    received = edge.receive()
    assert (received.answers, received.findings, received.notes) == (1, (), ())
    assert edge.stored(names) == [True, True]
    kinds = [json.loads(line)["kind"] for line in edge.lines]
    assert kinds == ["answer", "checkpoint", "torn", "checkpoint", "answer", "checkpoint"]


def test_a_checkpoint_of_a_foreign_key_proves_nothing(edge: Edge) -> None:
    names = edge.answer(5)
    line = json.loads(edge.lines[1])
    seed = bytes(32)
    message = program.checkpoint_message(
        sha256((edge.folder / program.CONTRACT).read_bytes()).hexdigest(),
        2,
        line["prev"],
        line["time"],
    )
    signature = program.sign(seed, program.public_key(seed), message)
    edge.change(
        lambda lines: [lines[0], changed(lines[1], signature=base64.b64encode(signature).decode())]
    )
    received = edge.receive()
    assert received.findings == ("the checkpoint in line 2 is not signed by the key of this pack",)
    assert edge.stored(names) == [False]


def test_a_foreign_pack_is_refused(factory: Factory, edge: Edge, tmp_path: Path) -> None:
    foreign = write_pack("pump", tmp_path / "foreign", factory.home).folder
    size = _ledger_size(edge.home)
    with pytest.raises(RefusedError, match=r"the ledger has no pack with this contract\.json"):
        receive_log(foreign, edge.home)
    contract = edge.folder / program.CONTRACT
    contract.write_bytes(contract.read_bytes() + b" ")
    with pytest.raises(RefusedError, match="bring the log to the factory that packed it"):
        edge.receive()
    assert _ledger_size(edge.home) == size


def test_a_log_of_another_pack_is_told(factory: Factory, edge: Edge, tmp_path: Path) -> None:
    other = Edge(write_pack("pump", tmp_path / "other", edge.home).folder, edge.home)
    names = other.answer(5)
    shutil.copy(other.log, edge.log)
    assert edge.receive().findings == (
        "the first line is of another pack, or was changed",
        "the checkpoint in line 2 is not signed by the key of this pack",
    )
    assert edge.stored(names) == [False]


def test_changed_files_of_the_pack_are_told(edge: Edge) -> None:
    edge.answer(5)
    for name in (program.GRAPH, "score.py"):
        (edge.folder / name).write_bytes((edge.folder / name).read_bytes() + b"\n")
    assert edge.receive().findings == ("model.onnx was changed", "score.py was changed")
    for name in (program.GRAPH, "score.py"):
        (edge.folder / name).unlink()
    assert edge.receive().findings == ()


def test_a_log_that_was_written_anew_with_the_key_is_told(edge: Edge) -> None:
    edge.answer(5, 6)
    edge.receive()
    edge.log.unlink()
    names = edge.answer(95) + edge.answer(96)
    received = edge.receive()
    [finding] = received.findings
    assert finding.startswith("the 3 lines that came home ")
    assert edge.stored(names) == [False, False]
    assert edge.receive().findings == received.findings


def _nested(levels: int) -> Any:
    return {"a": _nested(levels - 1)} if levels else 0


@pytest.mark.parametrize(
    "record",
    [
        {},
        pytest.param(
            {"prediction": "1", "input": {"code": _nested(450)}},
            marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python reads as many"),
        ),
        {"prediction": "1", "probabilities": 7},
        {"rules": None},
        {"prediction": "1", "time": 10**22},
        {"prediction": "1", "duration": "long"},
        {"prediction": "1", "id": 7},
        {"prediction": "1", "input": 7},
        {"prediction": "1", "probabilities": {"0": math.nan}},
        {"prediction": "1", "id": "ffffffff-ffff-7fff-bfff-fffffff00000"},
        {"prediction": "1", "id": "01a216a8-8533-7cf8-bdc0-0282ce500001"},
    ],
)
def test_what_the_holder_of_the_key_invents_is_told(record: dict[str, Any], edge: Edge) -> None:
    pack = sha256((edge.folder / program.CONTRACT).read_bytes()).hexdigest()
    public = json.loads((edge.folder / program.CONTRACT).read_text())["key"]
    log = program.LocalLog(str(edge.folder), pack, public)
    log.answer([{"input": {}, **record}], 0)
    log.close()
    received = edge.receive()
    assert received.findings == ("line 1 is not an answer of this program",)
    assert received.answers == 0


def test_lines_that_others_append_are_not_signed(edge: Edge) -> None:
    edge.answer(5)
    last = edge.lines[-1]
    forged = changed(edge.lines[0], seq=3, prev=sha256(last[:-1]).hexdigest())
    edge.change(lambda lines: [*lines, forged])
    with pytest.raises(program.PackError, match=r"line 3 of log\.jsonl was not written here"):
        edge.answer(6)
    received = edge.receive()
    assert received.notes[0].startswith("1 answer is not proven by a checkpoint, and stays")


def test_a_pack_is_open_once(edge: Edge) -> None:
    with (
        program.Model(str(edge.folder)),
        pytest.raises(program.PackError, match="open; wait until it ends, or make another pack: "),
    ):
        program.Model(str(edge.folder))


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_an_interrupted_line_is_taken_back(
    call: str, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(os, call)

    def interrupted(*arguments: Any) -> None:
        monkeypatch.setattr(os, call, original)
        original(*arguments)
        raise KeyboardInterrupt

    with program.Model(str(edge.folder)) as model:
        monkeypatch.setattr(os, call, interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.predict([row()])
        names = [answer["id"] for answer in model.predict([row()])]
    received = edge.receive()
    assert (received.answers, received.findings, received.notes) == (1, (), ())
    assert edge.stored(names) == [True]


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import score
original, times = os.write, [int(sys.argv[2])]
def write(handle, content):
    times[0] -= 1
    if times[0] == 0:
        original(handle, content[: int(sys.argv[3]) % (len(content) + 1)])
        os.kill(os.getpid(), signal.SIGKILL)
    return original(handle, content)
os.write = write
model = score.Model(sys.argv[1])
row = {"Size [mm]": 5, "starts": 1, "colour": "red", "code": "AB-7", "owner": "a", "running": True}
for _ in range(5):
    for answer in model.predict([row, row]):
        print(answer["id"], flush=True)
"""


@pytest.mark.parametrize("attempt", one_in(3, range(6)))
def test_killed_while_it_writes_no_answer_is_lost(attempt: int, edge: Edge, python: Path) -> None:
    chance = random.Random(attempt)
    names: list[str] = []
    for _ in range(2):
        arguments = [str(chance.randint(1, 5)), str(chance.randint(0, 2000))]
        killed = subprocess.run(
            [python, "-c", KILLED, edge.folder, *arguments],
            env={"PATH": os.defpath},
            capture_output=True,
            text=True,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        names += killed.stdout.split()
    signed = score(python, edge.folder, "--sign")
    assert (signed.returncode, signed.stderr) == (0, "")
    received = edge.receive()
    assert (received.findings, received.notes) == ((), ())
    assert edge.stored(names) == [True] * len(names)


def _ledger_size(home: Home) -> int:
    with Ledger(home).reading() as log:
        return log.size


def test_an_answer_that_was_erased_does_not_come_home_again(edge: Edge) -> None:
    first, second = edge.answer(1.0, 2.0)
    edge.receive()
    with PredictionLog(edge.home) as log:
        assert log.erase("pump", [parse(first)], str(uuid4())) == 1
    assert edge.receive().answers == 0
    assert edge.stored([first, second]) == [False, True]
    with pytest.raises(UnknownNameError, match=f"{first} was erased on 20.* \\(entry "):
        find_answer(first, edge.home)
    enter_erasures(edge.home)
    assert problems(edge.home) == []


def test_answers_that_were_removed_do_not_come_home_again(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = edge.answer(1.0, 2.0)
    edge.receive()
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    monkeypatch.setattr(archiving, "SHORTEST", timedelta(days=-2))
    with PredictionLog(edge.home) as log:
        assert log.remove("pump", tomorrow, "kept long enough") == 2
    size = _ledger_size(edge.home)
    again = edge.receive()
    assert (again.answers, again.proven) == (0, 2)
    assert again.notes == ("2 answers are of days whose answers were removed: not stored",)
    assert edge.stored(names) == [False, False]
    assert _ledger_size(edge.home) == size
    assert problems(edge.home) == []
