"""The kinds of entries about the front door: who came in, who acted there, and who was refused.

The ledger has commitments to the names of people, never the names.
"""

from typing import Literal

from factory_resources.ledger.entry import Entry, Sha256

LoginMethod = Literal["link", "password", "passkey", "oidc"]

Application = Literal["factory", "dagster", "mlflow"]

RefusalReason = Literal[
    "unknown host",
    "another site",
    "no session",
    "wrong login",
    "locked out",
    "not allowed",
    "malformed request",
]


class SessionStarted(Entry):
    """A person logged in."""

    SUBJECT = "session/{session}"

    kind: Literal["login"] = "login"
    subject: str
    session: Sha256
    """The hash of the session's id; the id itself is known to the browser only."""
    person: Sha256
    """A commitment to the person's name."""
    method: LoginMethod
    roles: tuple[str, ...]


class SessionEnded(Entry):
    """A session ended before its time: by its person, or because the person's rights changed."""

    SUBJECT = "session/{session}"

    kind: Literal["logout"] = "logout"
    subject: str
    session: Sha256


class ActionTaken(Entry):
    """A person did something that changes the factory; entered before it is done."""

    SUBJECT = "session/{session}"

    kind: Literal["action"] = "action"
    subject: str
    session: Sha256
    person: Sha256
    """A commitment to the person's name."""
    application: Application
    operations: tuple[str, ...]
    """What was asked for, such as `launchPipelineExecution` or `PATCH /mlflow/…`."""
    about: tuple[str, ...] = ()
    """The pipelines, runs or model versions that it is about, as far as they are known before."""


class AccessRefused(Entry):
    """The front door refused requests; those of one kind within a minute are one entry."""

    SUBJECT = "refused"

    kind: Literal["refused"] = "refused"
    subject: str
    reason: RefusalReason
    operation: str | None = None
    """What was asked for; None if it was no request that can be named."""
    person: Sha256 | None = None
    """A commitment to the name of the person, if a session tells it."""
    count: int = 1
