"""Who gets the new version, and what a server counts of it."""

from collections import Counter
from typing import Literal

import pytest

from factory_assets.execution.rollout import Rollout
from factory_assets.execution.rollout_evidence import Batch
from factory_assets.serving.http import served_rollout
from factory_assets.serving.http.served_rollout import ServedRollout, caller_key
from factory_assets.serving.online.served_model import ServedModel
from factory_resources.ledger.rollout_entries import RolloutStarted


def rollout(
    served: ServedModel,
    share: int = 1_000,
    pipeline: str = "p",
    mode: Literal["canary", "shadow"] = "canary",
) -> ServedRollout:
    started = RolloutStarted(
        subject=f"rollout/{pipeline}",
        pipeline=pipeline,
        version=served.version,
        record="none",
        graph="0" * 64,
        champion=1,
        mode=mode,
        share=share,
        seconds=60,
        answers=100,
    )
    return ServedRollout(Rollout(5, started), served)


def test_callers_are_told_apart_by_token_and_header() -> None:
    keys = [
        caller_key("", {}),
        caller_key("line_4", {}),
        caller_key("", {b"x-caller": b"line_4"}),
        caller_key("line_4", {b"x-caller": b"line_4"}),
        caller_key("line_4", {b"x-caller": b"line_5"}),
    ]
    assert keys[0] is None
    assert len({*keys}) == len(keys)


@pytest.mark.parametrize("share", [100, 1_000, 5_000, 9_900])
def test_a_share_of_the_callers_gets_the_new_version_and_always_the_same(
    share: int, served: ServedModel
) -> None:
    one, again = rollout(served, share), rollout(served, share)
    callers = [f"caller {number}".encode() for number in range(5_000)]
    got = [one.gives_new_version(caller) for caller in callers]
    assert all(again.gives_new_version(one) == was for one, was in zip(callers, got, strict=True))
    assert abs(sum(got) / 5_000 - share / 10_000) < 0.03


def test_a_larger_share_keeps_those_who_have_the_new_version(served: ServedModel) -> None:
    few, many = rollout(served, 1_000), rollout(served, 3_000)
    callers = [f"{number}".encode() for number in range(1_000)]
    assert all(many.gives_new_version(one) for one in callers if few.gives_new_version(one))


def test_another_version_is_given_to_other_callers(served: ServedModel) -> None:
    one = rollout(served, 5_000)
    other = rollout(served, 5_000)
    other._salt = b"p@77\n"
    callers = [f"{number}".encode() for number in range(1_000)]
    same = sum(one.gives_new_version(c) == other.gives_new_version(c) for c in callers)
    assert 400 < same < 600


def test_whom_nothing_tells_apart_is_drawn_anew(served: ServedModel) -> None:
    drawn = Counter(rollout(served, 5_000).gives_new_version(None) for _ in range(400))
    assert 120 < drawn[True] < 280
    few = Counter(rollout(served, 1_000).gives_new_version(None) for _ in range(400))
    assert 0 < few[True] < 120


@pytest.mark.parametrize("drawn", [999, 1_000])
def test_so_many_of_ten_thousand_draws_give_the_new_version(
    drawn: int, served: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.randbelow", lambda _: drawn)
    assert rollout(served, 1_000).gives_new_version(None) == (drawn < 1_000)


def test_what_was_counted_is_taken_once_and_with_something_to_compare(
    served: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = rollout(served)
    assert not one.has_ended
    one.champion_answered(0.2)
    assert not one.take()
    one.answered(0.1)
    one.failed()
    one.compared(3, 1)
    assert one.take() == Batch(2, 1, (0.1,), (0.2,), 3, 1)
    assert one.take() == Batch()
    one.failed()
    assert one.take() == Batch(1, 1, (), ())
    one.answered(0.1)
    one.champion_answered(0.2)
    assert one.take() == Batch(1, 0, (0.1,), (0.2,))
    one.answered(0.1)
    assert not one.take()
    monkeypatch.setattr(served_rollout, "_ALONE", -1.0)
    assert one.take() == Batch(1, 0, (0.1,), ())
    one.champion_answered(0.2)
    assert not one.take()
