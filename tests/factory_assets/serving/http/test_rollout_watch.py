"""Roll-outs of one server are compared each on its own, whatever fails."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from factory_assets.execution.ledger_entries import begin_ledger
from factory_assets.execution.rollout import Rollout, ongoing_rollout
from factory_assets.execution.rollout_evidence import Batch
from factory_assets.execution.rollout_file import read_evidence, rollout_file, share
from factory_assets.serving.http import rollout_watch
from factory_assets.serving.http.rollout_watch import RolloutWatch
from factory_assets.serving.http.served_rollout import ServedRollout
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.rollout_entries import RolloutEnded, RolloutStarted


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    begin_ledger(home)
    return home


def begun(home: Home, pipeline: str) -> Rollout:
    """Begin the roll-out of version 2 of a pipeline."""
    started = RolloutStarted(
        subject=RolloutStarted.subject_of(pipeline=pipeline),
        pipeline=pipeline,
        version=2,
        record="none",
        graph="0" * 64,
        champion=1,
        mode="canary",
        share=5_000,
        seconds=3_600,
        answers=100,
    )
    Ledger(home).append([started])
    found = ongoing(home, pipeline)
    assert found
    return found


def ongoing(home: Home, pipeline: str) -> Rollout | None:
    with Ledger(home).reading() as log:
        return ongoing_rollout(log, pipeline)


def failing(rollout: Rollout) -> ServedRollout:
    """Return a roll-out whose new version has answered nothing."""
    served: Any = SimpleNamespace(pipeline=rollout.started.pipeline, version=2)
    trial = ServedRollout(rollout, served)
    for _ in range(500):
        trial.failed()
    return trial


def look(
    home: Home, trials: Sequence[ServedRollout], labelled: Any, times: int = 1, **others: Any
) -> None:
    """Look some times.

    Args:
        others: `unusable` or `served` of the champions.
    """
    seen: dict[str, Any] = {"trials": trials, "unusable": {}, "served": {}, **others}
    champions: Any = SimpleNamespace(**seen)

    async def looks() -> None:
        watch = RolloutWatch(champions, home, thread, labelled)
        for _ in range(times):
            await watch._look()

    with ThreadPoolExecutor(1) as thread:
        asyncio.run(looks())


def unreadable(
    pipeline: str, versions: tuple[int, int], since: str
) -> tuple[Sequence[float], Sequence[float]]:
    raise StorageError("the outcomes cannot be read", remedy="try again")


@pytest.mark.parametrize("labelled", [None, unreadable])
def test_a_version_that_fails_is_rolled_back_also_if_no_truth_can_be_read(
    labelled: Any, home: Home
) -> None:
    trial = failing(begun(home, "apples"))
    look(home, [trial], labelled)
    assert trial.has_ended
    assert ongoing(home, "apples") is None


def test_a_version_that_cannot_be_loaded_is_rolled_back(home: Home) -> None:
    rollout = begun(home, "apples")
    look(home, [], None, unusable={"apples": (rollout, "its graph was changed")})
    subject = RolloutEnded.subject_of(pipeline="apples")
    ended = Ledger(home).latest(RolloutEnded, subject)
    assert ended
    assert (ended[1].outcome, ended[1].reason, ended[1].started) == (
        "rolled back",
        "it cannot be loaded: its graph was changed",
        rollout.number,
    )


def test_an_alias_follows_each_version_and_each_end_of_a_roll_out_once(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[str] = []

    def mirror(pipeline: str, _: Home) -> None:
        followed.append(pipeline)

    monkeypatch.setattr(rollout_watch, "mirror_promotion", mirror)
    served = {name: SimpleNamespace(version=2) for name in ("apples", "pears")}
    look(home, [failing(begun(home, "plums"))], None, times=3, served=served)
    assert followed == ["plums", "apples", "pears"]


def test_a_roll_out_that_cannot_be_compared_keeps_no_other_from_it(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    broken, trial = failing(begun(home, "apples")), failing(begun(home, "pears"))
    (home.tmp / "locks" / "apples.rollout").mkdir(parents=True)
    with caplog.at_level(logging.ERROR, "factory.serve"):
        look(home, [broken, trial], None, times=3)
    assert (broken.has_ended, trial.has_ended) == (False, True)
    [told] = [record.getMessage() for record in caplog.records]
    assert told.startswith("the roll-out of apples was not looked at")


def test_a_fault_that_comes_back_is_told_again(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    faults = iter((True, True, False, True))

    def sometimes(*_: Any) -> tuple[Sequence[float], Sequence[float]]:
        return unreadable(*_) if next(faults) else ([], [])

    served: Any = SimpleNamespace(pipeline="apples", version=2)
    with caplog.at_level(logging.ERROR, "factory.serve"):
        look(home, [ServedRollout(begun(home, "apples"), served)], sometimes, times=4)
    assert len(caplog.records) == 2


def test_what_was_seen_is_kept_if_no_truth_can_be_read(home: Home) -> None:
    rollout = begun(home, "apples")
    with pytest.raises(StorageError):
        share(rollout, Batch(answers=5, failures=1), home, unreadable)
    counts = read_evidence(rollout_file(rollout, home)).counts
    assert (counts.answers, counts.failures) == (5, 1)
