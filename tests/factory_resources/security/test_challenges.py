"""Challenges: one for an asker, once, for two minutes."""

import pytest

from factory_resources.security import challenges as store
from factory_resources.security.challenges import VALID, Challenges


def test_a_challenge_counts_once_and_for_its_asker() -> None:
    challenges = Challenges()
    challenge = challenges.new("ann")
    assert len(challenge) == 32
    assert challenges.take("tom") is None
    assert challenges.take("ann") == challenge
    assert challenges.take("ann") is None


def test_a_challenge_ends_after_two_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    challenges, now = Challenges(), store.time.monotonic()
    challenge = challenges.new("ann")
    challenges.new("tom")
    monkeypatch.setattr(store.time, "monotonic", lambda: now + VALID - 1)
    assert challenges.take("ann") == challenge
    monkeypatch.setattr(store.time, "monotonic", lambda: now + VALID + 1)
    assert challenges.take("tom") is None


def test_what_is_asked_may_be_given_and_counts_as_long_as_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    challenges, now = Challenges(300), store.time.monotonic()
    assert challenges.new("ann", b"a statement") == b"a statement"
    challenges.new("tom", b"another")
    monkeypatch.setattr(store.time, "monotonic", lambda: now + 299)
    assert challenges.take("ann") == b"a statement"
    monkeypatch.setattr(store.time, "monotonic", lambda: now + 301)
    assert challenges.take("tom") is None


def test_a_new_challenge_replaces_the_askers_former_one() -> None:
    challenges = Challenges()
    former, challenge = challenges.new("ann"), challenges.new("ann")
    assert challenges.take("ann") == challenge != former


def test_no_flood_of_askers_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_MOST", 3)
    challenges = Challenges()
    # Whoever asks again is not forgotten as the oldest.
    for name in "abcade":
        challenges.new(name)
    assert [name for name in "abcde" if challenges.take(name)] == ["a", "d", "e"]
