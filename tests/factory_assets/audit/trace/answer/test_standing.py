"""What a version was at each moment, by the entries of a real ledger."""

import pytest

from factory_assets.audit.trace.answer.events import EventReader
from factory_assets.audit.trace.answer.report import EdgeFact, StandingFact
from factory_assets.audit.trace.answer.standing import standing_at
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ChampionMade, ServingChanged
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.rollout_entries import RolloutEnded, RolloutStarted

SUM = "ab" * 32


def _time(minute: int) -> str:
    return f"2026-03-01T10:{minute:02}:00.000000Z"


@pytest.fixture
def told(home: Home) -> Home:
    """A home in whose ledger version 1 served, 2 was a canary and then served, and was stopped."""
    about = {"pipeline": "apples", "record": "records/apples/deploy/a.json"}
    champion = {**about, "subject": "champion/apples", "graph": SUM}
    Ledger(home).begin()
    Ledger(home).append(
        [
            ChampionMade(**champion, version=1, time=_time(1)),
            RolloutStarted(
                **{**champion, "subject": "rollout/apples"},
                version=2,
                time=_time(10),
                champion=1,
                mode="canary",
                share=500,
                seconds=60,
                answers=10,
            ),
            RolloutEnded(
                **about,
                subject="rollout_ended/apples",
                version=2,
                time=_time(20),
                started=2,
                outcome="promoted",
            ),
            ChampionMade(**champion, version=2, replaced=1, time=_time(20)),
            ServingChanged(
                subject="serving/apples",
                pipeline="apples",
                action="stopped",
                version=2,
                time=_time(30),
            ),
            ChampionMade(**champion, version=1, replaced=2, rollback=True, time=_time(40)),
        ]
    )
    return home


def _standing(home: Home, version: int, minute: int, edge: EdgeFact | None = None) -> StandingFact:
    with Ledger(home).reading() as log:
        return standing_at(log, "apples", version, _time(minute), edge)


@pytest.mark.parametrize(
    ("version", "minute", "role", "entry", "champion", "stopped"),
    [
        (1, 0, "none", None, None, False),
        (1, 5, "champion", 1, 1, False),
        (2, 5, "none", None, 1, False),
        (2, 15, "canary", 2, 1, False),
        (1, 15, "champion", 1, 1, False),
        (2, 25, "champion", 4, 2, False),
        (1, 25, "former champion", 1, 2, False),
        (2, 35, "champion", 4, 2, True),
        (1, 45, "champion", 6, 1, True),
        (2, 45, "former champion", 4, 1, True),
        (3, 45, "none", None, 1, True),
    ],
)
def test_a_version_was_at_each_moment_what_the_ledger_said_then(
    told: Home,
    version: int,
    minute: int,
    role: str,
    entry: int | None,
    champion: int | None,
    stopped: bool,
) -> None:
    found = _standing(told, version, minute)
    assert (found.role, found.entry, found.champion, found.stopped) == (
        role,
        entry,
        champion,
        stopped,
    )


def test_a_pack_answers_whatever_serves_here(told: Home) -> None:
    edge = EdgeFact(
        pack=SUM, entry=9, packed=_time(2), key="k", graph=SUM, program=SUM, received=None,
        received_entry=None, file=None, line=None, findings=(),
    )  # fmt: skip
    found = _standing(told, 1, 25, edge)
    assert (found.role, found.entry, found.since, found.champion) == ("pack", 9, _time(2), 2)


def test_the_entries_about_a_version_are_told_in_order_and_of_no_other(told: Home) -> None:
    problems: list[str] = []
    with Ledger(told).reading() as log:
        one, two = (
            EventReader(log, told, "apples", version, _time(25), problems).serving()
            for version in (1, 2)
        )
    assert [event.what for event in one] == [
        "became champion",
        "replaced by version 2",
        "champion again by a roll-back, in place of version 2",
    ]
    assert [event.what for event in two] == [
        "began as a canary beside version 1, 5 % of callers",
        "its roll-out ended: promoted",
        "became champion, in place of version 1",
        "stopped",
        "replaced by version 1",
    ]
    assert [event.before for event in two] == [True, True, True, False, False]
    assert problems == []
