"""No version of a pipeline of high risk serves before somebody is responsible for it."""

from pathlib import Path
from typing import Any

import pytest

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.decisions import enter_decision
from factory_assets.execution.responsibility import missing_responsibility
from factory_resources.errors import RefusedError
from factory_resources.tracking.registry import Registry
from tests.approvals import Factory, copy_factory, make_factory
from tests.ledger import problems
from tests.pipelines import APPLES, declare, write_governance

pytestmark = pytest.mark.slow

_MISSING = "risk tier high, and there is no governance.yaml"

_HIGH = {"tier": "high", "area": "food"}

_EMPTY: dict[str, Any] = {"owner": None, "oversight": [], "risks": []}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """A factory in which version 1 waits; its pipeline is of high risk from now on."""
    factory = make_factory(tmp_path_factory.mktemp("made") / "root")
    factory.declare(high_risk=True)
    return factory


@pytest.fixture
def waiting(made: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    return copy_factory(made, tmp_path / "root", monkeypatch)


def _champion(factory: Factory) -> int | None:
    return Registry(factory.home).champion("apples")


@pytest.mark.parametrize(
    ("left_out", "missing"),
    [
        ((), None),
        (("owner",), "no owner"),
        (("oversight",), "no oversight"),
        (("risks",), "no risk register"),
        (("oversight", "risks"), "no oversight and no risk register"),
        (("owner", "oversight", "risks"), "no owner and no oversight and no risk register"),
    ],
)
def test_what_is_missing_is_told(
    left_out: tuple[str, ...], missing: str | None, tmp_path: Path
) -> None:
    deploy = {"approval": {"signatures": 1}}
    pipeline = declare(tmp_path / "apples", {**APPLES, "risk": _HIGH, "deploy": deploy})
    assert missing_responsibility(pipeline) == _MISSING
    write_governance(pipeline.folder, **{key: _EMPTY[key] for key in left_out})
    expected = f"risk tier high, and governance.yaml has {missing}" if missing else None
    assert missing_responsibility(pipeline) == expected
    (pipeline.folder / "governance.yaml").write_text("owner: [")
    told = missing_responsibility(pipeline)
    assert told
    assert told.startswith("risk tier high, and governance.yaml has a mistake (")


def test_nobody_is_asked_of_less_risk_or_without_a_model(tmp_path: Path) -> None:
    data = {name: APPLES[name] for name in ("purpose", "ingest", "clean")}
    for name, attributes in {"sorted": APPLES, "counted": {**data, "risk": _HIGH}}.items():
        assert missing_responsibility(declare(tmp_path / name, attributes)) is None


def test_it_is_not_approved_and_a_run_says_why(waiting: Factory) -> None:
    line = f"apples@1 may not serve: {_MISSING}; see factory check apples"
    assert line in waiting.run()
    code, text = waiting.factory("approve", "apples", "--reason", "good", by="jane")
    expected = f"error: apples@1: {_MISSING}; write one: factory governance new apples\n"
    assert (code, text.endswith(expected)) == (1, True), text
    assert "gates:" not in text, "nothing is shown that cannot be approved"
    assert _champion(waiting) is None


def test_an_approval_that_was_signed_before_is_not_entered(waiting: Factory) -> None:
    folder = waiting.defs / "apples"
    write_governance(folder)
    signed = str(waiting.root / "signed.json")
    code, text = waiting.factory("approve", "apples", "--reason", "x", "--save", signed, by="jane")
    assert code == 0, text
    write_governance(folder, owner=None)
    pipeline, content = load_pipeline(folder), Path(signed).read_bytes()
    with pytest.raises(RefusedError, match=r"governance\.yaml has no owner; complete governance"):
        enter_decision(pipeline, 1, "approved", content, waiting.home)
    write_governance(folder)
    assert waiting.factory("approve", "apples", "--statement", signed)[0] == 0
    assert _champion(waiting) == 1
    assert problems(waiting.home) == []


def test_it_can_be_refused_all_the_same(waiting: Factory) -> None:
    code, text = waiting.factory("refuse", "apples", "--reason", "bad", by="jane")
    assert (code, "apples@1 was refused by jane" in text) == (0, True), text
    assert f"  risk: high (food)\n  may not serve: {_MISSING}\n" in text


def test_a_version_with_its_approvals_serves_only_once_somebody_is_responsible(
    waiting: Factory,
) -> None:
    folder = waiting.defs / "apples"
    write_governance(folder)
    waiting.declare(high_risk=True, approval={"signatures": 2})
    waiting.approve()
    (folder / "governance.yaml").unlink()
    waiting.declare(high_risk=True, approval={"signatures": 1})
    assert f"apples@1 may not serve: {_MISSING}" in waiting.run()
    assert "nothing changed since" in waiting.run()
    assert _champion(waiting) is None
    write_governance(folder)
    waiting.run()
    assert _champion(waiting) == 1
    assert problems(waiting.home) == []


def test_a_change_of_the_file_computes_nothing_again_and_stops_nothing(waiting: Factory) -> None:
    folder = waiting.defs / "apples"
    write_governance(folder)
    waiting.approve()
    write_governance(folder, statements={"annex-iv.1a": "To sort apples"})
    assert "nothing changed since" in waiting.run()
    (folder / "governance.yaml").unlink()
    assert "nothing changed since" in waiting.run()
    assert _champion(waiting) == 1
