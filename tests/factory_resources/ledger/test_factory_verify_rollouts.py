"""The verifier tells a forged roll-out from one that went on as the ledger says."""

import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from factory_assets.execution.rollout_evidence import Batch
from factory_assets.execution.rollout_file import share
from factory_resources.ledger.factory_verify import Expectation, canonical, verify_path
from factory_resources.ledger.ledger import Ledger
from tests.approvals import Factory, declare_factory
from tests.factory_resources.ledger.homes import LogKey, write_ledger
from tests.long_run import in_long
from tests.pipelines import enter
from tests.rollouts import champion, goes_on

pytestmark = pytest.mark.slow

CANARY = {"canary": {"share": "10%", "for": "1min", "answers": 20}}


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """A home in which version 2 was approved, rolled out beside version 1, and was promoted."""
    made = declare_factory(tmp_path_factory.mktemp("promoted") / "root")
    with pytest.MonkeyPatch.context() as patch:
        enter(made.root, patch)
        patch.setattr("factory_assets.execution.rollout.seconds_of", lambda _: 0)
        for seed in (7, 8):
            made.declare(seed=seed, rollout=CANARY)
            made.run()
            text = made.approve()
        assert "and rolls out beside the champion" in text
        rollout = goes_on(made.home)
        assert rollout is not None
        assert share(rollout, Batch(answers=20), made.home) is not None
        assert champion(made.home) == 2
    # MLflow's alias is compared elsewhere.
    (made.home.path / "mlflow.db").unlink()
    return made


@pytest.fixture
def home(promoted: Factory, tmp_path: Path) -> Path:
    return Path(shutil.copytree(promoted.home.path, tmp_path / "home"))


def entries_of(made: Factory) -> list[dict[str, Any]]:
    with Ledger(made.home).reading() as log:
        return [json.loads(body) for _, body in log.bodies()]


def found(home: Path, entries: list[dict[str, Any]]) -> list[str]:
    """Return what the verifier says of these entries, in a ledger that was signed."""
    key = LogKey(name=entries[0]["origin"])
    entries[0]["key"] = str(key.public)
    write_ledger(home / "ledger.db", [canonical(entry) for entry in entries], key)
    report, _ = verify_path(str(home), Expectation())
    return [str(problem) for problem in report.problems]


def one(entries: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the last entry of a kind."""
    return [entry for entry in entries if entry["kind"] == kind][-1]


def test_an_honest_roll_out_holds(promoted: Factory, home: Path) -> None:
    entries = entries_of(promoted)
    assert found(home, entries) == []
    times = [
        datetime.fromisoformat(one(entries, kind)["time"][:19])
        for kind in ("rollout", "rollout_ended")
    ]
    one(entries, "rollout")["seconds"] = int((times[1] - times[0]).total_seconds())
    assert found(home, entries) == [], "exactly as long as it has to"


Change = Callable[[list[dict[str, Any]]], Any]


def without(kind: str) -> Change:
    return lambda entries: entries.remove(one(entries, kind))


def with_(kind: str, **fields: Any) -> Change:
    return lambda entries: one(entries, kind).update(fields)


def repeated(kind: str, **fields: Any) -> Change:
    return lambda entries: entries.append({**one(entries, kind), **fields})


def twice(entries: list[dict[str, Any]]) -> None:
    """Let the roll-out begin again while it goes on."""
    begun = one(entries, "rollout")
    entries.insert(entries.index(begun), {**begun})


def stopped(entries: list[dict[str, Any]]) -> None:
    """Let somebody stop the pipeline while the version rolls out."""
    ended = one(entries, "rollout_ended")
    stop = {"pipeline": "apples", "version": 1, "action": "stopped", "time": ended["time"]}
    subject = "serving/apples"
    entries.insert(entries.index(ended), {"kind": "serving", "subject": subject, **stop})


def refused(entries: list[dict[str, Any]]) -> None:
    """Let a person refuse the version before it rolls out, and nothing come after."""
    begun = one(entries, "rollout")
    refusal = {**one(entries, "approval"), "decision": "refused"}
    entries[entries.index(begun) :] = [refusal, begun]


def again(entries: list[dict[str, Any]]) -> None:
    """Let the version before serve again, and the promoted one then without a roll-out."""
    entries += [{**entry} for entry in entries if entry["kind"] == "champion"]


def without_approval(entries: list[dict[str, Any]]) -> None:
    """Let no declaration ask for an approval."""
    for entry in entries:
        if entry["kind"] == "declaration":
            entry["approval"] = None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without("approval"), "0 of 1 people approved it"),
        (without("rollout"), "ends a roll-out that does not go on"),
        (without("rollout_ended"), "serves while a version rolls out"),
        (without("champion"), "has no entry"),
        (with_("rollout", champion=2), "the version that serves is not what"),
        (with_("rollout", version=1), "rolls out, and serves already"),
        (with_("rollout", graph="0" * 64), "0 of 1 people approved it"),
        (with_("rollout", seconds=10**6), "before its time"),
        (with_("rollout", answers=21), "after too few answers"),
        (with_("rollout", share=0), "no valid 'mode' and 'share'"),
        (with_("rollout", mode="shadow"), "no valid 'mode' and 'share'"),
        (with_("rollout", mode="loud"), "no valid 'mode' and 'share'"),
        (with_("rollout", subject="rollout/pears"), "the subject is not what"),
        (with_("rollout_ended", started=1), "ends a roll-out that does not go on"),
        (with_("rollout_ended", version=1), "the version is not what"),
        (with_("rollout_ended", outcome="rolled back"), "serves at once, and a roll-out was"),
        (with_("rollout_ended", outcome="ended by a person"), "has no valid 'statement'"),
        (with_("rollout_ended", outcome="fine"), "has no valid 'outcome'"),
        (with_("rollout_ended", counts={}), "has no valid 'counts.answers'"),
        (with_("champion", replaced=7), "does not serve by the next entry"),
        (repeated("rollout_ended"), "ends a roll-out that does not go on"),
        (repeated("rollout"), "the version that serves is not what"),
        (repeated("model_version", digest="0" * 64), "about model/apples@2"),
        (twice, "begins while another version rolls out"),
        (refused, "apples@2 serves, although it was refused"),
        (again, "apples@2 serves at once, and a roll-out was declared"),
        (stopped, "although the pipeline was stopped"),
        (without_approval, "was decided, and no approval was declared"),
        (with_("verdict", passed=False), "apples@2 serves, although it failed"),
    ],
)
def test_a_forged_roll_out_is_told(
    change: Change, told: str, promoted: Factory, home: Path
) -> None:
    entries = entries_of(promoted)
    change(entries)
    problems = found(home, entries)
    assert any(told in problem for problem in problems), problems


@pytest.mark.parametrize("kind", ["rollout", "rollout_ended"])
@pytest.mark.parametrize(
    "value", [None, -1, "x" * 5_000, [], *in_long([True, 2**53 - 1, "", {"a": {}}])]
)
def test_odd_values_are_told_and_never_make_it_throw(
    kind: str, value: Any, promoted: Factory, home: Path
) -> None:
    for name in one(entries_of(promoted), kind):
        entries = entries_of(promoted)
        one(entries, kind)[name] = value
        # The reason is for people, and nothing follows from the counts of a comparison but one.
        assert found(home, entries) or name in {"reason", "seconds", "answers"}, name
