"""What was packed for other machines, and came home, must belong together."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from factory_resources.ledger.factory_verify import (
    Expectation,
    VerificationReport,
    verify_path,
)
from tests.factory_resources.ledger.homes import LogKey, bodies_of, entry, write_ledger

_KEY = LogKey()

_PACK = "a" * 64


def verified(home: Path, pack: dict[str, Any], *logs: dict[str, Any]) -> VerificationReport:
    """Return what is told if these entries were appended with some other values."""
    bodies = bodies_of(home, _KEY)
    exports = [json.loads(body) for body in bodies if json.loads(body)["kind"] == "export"]
    exported = next(one for one in exports if one["pipeline"] == "apples")
    of = {"pipeline": "apples", "version": exported["version"], "pack": _PACK}
    packed = {"subject": f"edge/{_PACK}", "graph": exported["graph"], "key": "", **of, **pack}
    received = {"subject": f"edge_log/{_PACK}", "lines": 2, "findings": [], **of}
    more = [entry("edge_pack", **packed)]
    more += [entry("edge_log", **{**received, **log}) for log in logs]
    write_ledger(home / "ledger.db", [*bodies, *more], _KEY)
    report, _ = verify_path(str(home), Expectation(_KEY.public))
    assert not any("kinds that this verifier does not know" in note.what for note in report.notes)
    return report


def problems(home: Path, pack: dict[str, Any], log: dict[str, Any]) -> list[str]:
    return [problem.what for problem in verified(home, pack, log).problems]


@pytest.fixture
def home(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "copy"))


def test_a_pack_of_the_exported_graph_holds(home: Path) -> None:
    assert problems(home, {}, {}) == []


def test_what_the_last_log_of_a_pack_lacks_is_noted(home: Path) -> None:
    before = {"findings": ["line 3 was changed"], "more": 0}
    now = {"findings": ["line 3 was changed", "line 9 is missing"], "more": 4}
    report = verified(home, {}, before, now)
    assert report.holds
    [note] = [str(note) for note in report.notes if "came home" in note.what]
    assert note.endswith(": came home damaged, as it says: line 3 was changed, and 5 more")
    report = verified(home, {}, before, {"findings": []})
    assert not [note for note in report.notes if "came home" in note.what]


@pytest.mark.parametrize(
    ("pack", "log", "problem"),
    [
        ({"graph": "0" * 64}, {}, "the SHA-256 of the graph is not what the entry says"),
        ({"version": 7}, {"version": 7}, "apples@7 was packed, and has no entry of an export"),
        ({"subject": "edge/b"}, {}, "the subject is not what the entry says"),
        ({}, {"version": 7}, "the version is not what the entry says"),
        ({}, {"pipeline": "pears"}, "the pipeline is not what the entry says"),
        ({}, {"subject": "edge_log/b"}, "the subject is not what the entry says"),
        (
            {},
            {"pack": "b" * 64, "subject": f"edge_log/{'b' * 64}"},
            "is the log of a pack that has no entry",
        ),
    ],
)
def test_what_does_not_belong_together_is_told(
    pack: dict[str, Any], log: dict[str, Any], problem: str, home: Path
) -> None:
    assert problem in problems(home, pack, log)
