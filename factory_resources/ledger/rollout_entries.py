"""The kinds of entries about roll-outs: a new version beside the champion, and what came of it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from factory_resources.ledger.entry import Sha256, SignedAct, VersionEntry

RolloutOutcome = Literal["promoted", "rolled back", "ended by a person", "replaced"]
"""`replaced`: a newer version, or another champion, came between."""


class RolloutStarted(VersionEntry):
    """A model version begins to be compared with the champion by what it answers."""

    SUBJECT = "rollout/{pipeline}"

    kind: Literal["rollout"] = "rollout"
    graph: Sha256
    """The digest of the exported graph."""
    champion: int
    """The version that serves, with which it is compared."""
    mode: Literal["canary", "shadow"]
    share: int
    """Of 10,000 callers, so many get the new version; 0 if it is a shadow."""
    seconds: int
    """How long it takes at least."""
    answers: int
    """The fewest answers of the new version after which it may become champion."""


class RolloutCounts(BaseModel):
    """What was compared in a roll-out."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    answers: int = 0
    """Requests that the new version was asked in earnest, or as a shadow."""
    failures: int = 0
    """Of these, the ones that it did not answer although the champion did."""
    timed: int = 0
    slow: int = 0
    """Of its timed answers, those that took longer than nearly all answers of the champion."""
    champion_timed: int = 0
    champion_slow: int = 0
    rows: int = 0
    different: int = 0
    """Of the rows that both answered, those with another prediction."""
    labelled: int = 0
    """Answers of the new version whose truth was known."""


class RolloutEnded(VersionEntry, SignedAct):
    """A roll-out is over; a promoted version becomes champion by the next entry."""

    SUBJECT = "rollout_ended/{pipeline}"

    kind: Literal["rollout_ended"] = "rollout_ended"
    started: int
    """The number of the entry that began it."""
    outcome: RolloutOutcome
    reason: str | None = None
    """Why; what a person says is in their statement."""
    counts: RolloutCounts = RolloutCounts()
