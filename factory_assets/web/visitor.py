"""Who makes a request of the front door, as every application behind the door sees it.

Finding out who it is belongs in `web.door`.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from factory_assets.spec.people import ROLES, Role

_SCOPE = "factory.visitor"


@dataclass(frozen=True)
class Visitor:
    """A person with a session."""

    name: str
    """As in `people.yaml`; of the owner of a machine without people, the account."""
    roles: frozenset[Role]
    session: str
    """The hash of the session's id, in hexadecimal."""

    def may_act(self) -> bool:
        """Whether the person may change anything in Dagster or MLflow."""
        return "engineer" in self.roles


ALL_ROLES: frozenset[Role] = frozenset(ROLES)  # type: ignore[arg-type]
"""The roles of the owner of a machine without people."""


def set_visitor(scope: MutableMapping[str, Any], visitor: Visitor) -> None:
    """Let the applications behind the door know who asks."""
    scope[_SCOPE] = visitor


def visitor_of(scope: MutableMapping[str, Any]) -> Visitor:
    """Return who asks.

    Raises:
        KeyError: the request did not come through the door.
    """
    visitor: Visitor = scope[_SCOPE]
    return visitor
