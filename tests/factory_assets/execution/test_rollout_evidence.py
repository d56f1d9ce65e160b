"""When a version is worse, when it is promoted, and what outlives a server."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from factory_assets.execution.rollout import Ending, Rollout, end_rollout, mirror_promotion
from factory_assets.execution.rollout_evidence import ALPHA, Batch, RolloutEvidence, judge
from factory_assets.execution.rollout_file import read_evidence, rollout_file, share
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.rollout_entries import RolloutStarted
from factory_resources.tracking.registry import Registry
from tests.ledger import make_champion

STARTED = RolloutStarted(
    subject="rollout/apples",
    pipeline="apples",
    version=2,
    record="none",
    graph="0" * 64,
    champion=1,
    mode="canary",
    share=1_000,
    seconds=3_600,
    answers=100,
)

EARLY = datetime.fromisoformat(STARTED.time) + timedelta(minutes=59)
LATE = EARLY + timedelta(minutes=1)


def seen(*batches: Batch) -> RolloutEvidence:
    evidence = RolloutEvidence()
    for batch in batches:
        evidence = evidence.with_batch(batch)
    return evidence


def test_time_and_answers_promote_and_neither_alone() -> None:
    few, enough = seen(Batch(answers=99)), seen(Batch(answers=60), Batch(answers=40))
    assert judge(few, STARTED, LATE) is None
    assert judge(enough, STARTED, EARLY) is None
    ending = judge(enough, STARTED, LATE)
    assert ending is not None
    assert (ending.outcome, ending.counts.answers) == ("promoted", 100)
    # 999999w, which is beyond the last date that there is.
    ever = STARTED.model_copy(update={"seconds": 999_999 * 604_800})
    assert judge(enough, ever, LATE) is None


def test_failures_roll_back_at_any_time_and_a_single_one_does_not() -> None:
    assert judge(seen(Batch(answers=50, failures=1)), STARTED, EARLY) is None
    # The fewest of which the probability is at most 1 % if it is no worse.
    assert judge(seen(Batch(answers=200, failures=13)), STARTED, EARLY) is None
    assert judge(seen(Batch(answers=200, failures=14)), STARTED, EARLY) is not None
    for now in (EARLY, LATE):
        ending = judge(seen(Batch(answers=200, failures=20)), STARTED, now)
        assert ending is not None
        assert ending.outcome == "rolled back"
        assert ending.reason == ("it did not answer 20 of 200 requests that the champion answered")


def test_slow_answers_roll_back_after_the_champion_has_said_what_is_slow() -> None:
    quick, slow = (0.001,) * 200, (0.5,) * 40
    first = Batch(answers=40, seconds=slow, champion_seconds=quick)
    assert judge(seen(first), STARTED, EARLY) is None
    ending = judge(seen(first, first, first), STARTED, EARLY)
    assert ending is not None
    assert ending.outcome == "rolled back"
    assert "it computed 80 of 80 answers for longer than 1.0 ms" in str(ending.reason)
    times = tuple(number / 1000 for number in range(1, 201))
    assert seen(Batch(champion_seconds=times)).limit == 0.199, "longer than 99 % of them"
    assert seen(Batch(champion_seconds=times[1:])).limit is None
    even = Batch(answers=200, seconds=quick, champion_seconds=quick)
    assert judge(seen(*[even] * 20), STARTED, EARLY) is None


def test_losses_are_compared_once_and_in_their_order() -> None:
    right, wrong = [0.0] * 60, [1.0] * 60
    evidence = RolloutEvidence().with_losses(wrong[:30], right[:30])
    assert evidence.with_losses(wrong[:30], right[:30]) == evidence
    assert evidence.with_losses(wrong[:31], right[:30]) == evidence
    all_of = evidence.with_losses(wrong, right)
    assert all_of.loss.compared == 60
    assert all_of.with_losses(wrong, right) == all_of
    # One version may have more answers whose truth is known.
    better = [*wrong[:30], *right[:30]]
    few = RolloutEvidence().with_losses(better[:30], right[:10])
    rest = few.loss.update(np.array(better[30:]), np.array(right[10:]))
    assert few.with_losses(better, right).loss == rest
    ending = judge(evidence.with_losses(wrong, right), STARTED, EARLY)
    assert ending is not None
    assert (ending.outcome, ending.counts.labelled) == ("rolled back", 60)
    assert judge(RolloutEvidence().with_losses(right, wrong), STARTED, EARLY) is None


def test_a_version_that_is_no_worse_is_seldom_rolled_back_however_often_one_looks() -> None:
    random, rolled_back = Random(0), 0
    for _ in range(40):
        evidence = RolloutEvidence()
        for _ in range(60):
            failures = sum(random.random() < 0.01 for _ in range(10))
            evidence = evidence.with_batch(Batch(answers=10, failures=failures))
            if evidence.worse():
                rolled_back += 1
                break
    assert rolled_back <= 40 * ALPHA + 2


@pytest.fixture
def rollout(home: Home) -> Rollout:
    Ledger(home).begin()
    make_champion("apples", 1, home)
    [number] = Ledger(home).append([STARTED])
    return Rollout(number, STARTED)


def test_what_was_seen_outlives_a_server_and_adds_up(rollout: Rollout, home: Home) -> None:
    batch = Batch(70, 1, (0.1, 0.5), (0.3,) * 100, 9, 2)
    expected = RolloutEvidence()
    for looks in range(1, 5):
        losses = [0.2] * looks, [0.1] * 2 * looks
        expected = expected.with_batch(batch).with_losses(*losses)
        # A look at which nothing is new changes nothing.
        for seen_since in (batch, Batch()):
            assert share(rollout, seen_since, home, lambda *_, known=losses: known) is None
        assert read_evidence(rollout_file(rollout, home)) == expected
    assert (expected.counts.slow, expected.judged) == (2, (4, 8))


def test_a_damaged_file_begins_the_comparison_anew(rollout: Rollout, home: Home) -> None:
    file = rollout_file(rollout, home)
    batch = Batch(answers=5)
    for content in (b"", b"{}", b"[1]", b'{"counts": {"answers": "x"}}', b"\xff"):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        assert share(rollout, batch, home) is None
        assert read_evidence(file) == seen(batch)


def test_labels_come_from_whoever_knows_them(rollout: Rollout, home: Home) -> None:
    asked = []

    def labelled(
        pipeline: str, versions: tuple[int, int], since: str
    ) -> tuple[list[float], list[float]]:
        asked.append((pipeline, versions, since))
        return [1.0] * 40, [0.0] * 40

    ending = share(rollout, Batch(), home, labelled)
    assert ending is not None
    assert ending.outcome == "rolled back"
    assert asked == [("apples", (2, 1), STARTED.time)]
    # It has ended: nothing that comes later ends it again.
    assert share(rollout, Batch(answers=500, failures=500), home) is None


def test_an_ended_rollout_leaves_no_file(rollout: Rollout, home: Home) -> None:
    assert share(rollout, Batch(answers=10), home) is None
    (other := home.path / "rollouts" / "apples_2.1.json").touch()
    assert json.loads(rollout_file(rollout, home).read_bytes())["counts"]["answers"] == 10
    assert share(rollout, Batch(answers=500, failures=500), home) is not None
    assert _files(home) == [other]


def test_beside_another_champion_than_it_was_compared_with_it_is_not_promoted(
    rollout: Rollout, home: Home
) -> None:
    make_champion("apples", 3, home)
    assert not end_rollout(rollout, Ending("promoted"), home)
    make_champion("apples", 1, home)
    assert end_rollout(rollout, Ending("promoted"), home)


def test_mlflows_alias_follows_a_promotion_and_nothing_else(
    rollout: Rollout, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "moved_alias", lambda *_: 7)
    following: Any = object()
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: following)
    assert mirror_promotion("apples", home) is None, "another program moved it"
    assert end_rollout(rollout, Ending("rolled back"), home)
    make_champion("apples", 3, home)
    assert mirror_promotion("apples", home) is None
    make_champion("apples", 1, home)
    [number] = Ledger(home).append([STARTED])
    assert end_rollout(Rollout(number, STARTED), Ending("promoted"), home)
    assert mirror_promotion("apples", home) is following
    monkeypatch.setattr(Registry, "moved_alias", lambda *_: None)
    assert mirror_promotion("apples", home) is None


def _files(home: Home) -> list[Path]:
    return [*(home.path / "rollouts").iterdir()]
