"""Decide who a session belongs to, and what that person may do now, by `people.yaml`."""

from __future__ import annotations

from collections.abc import Mapping

from factory_assets.declarations.people import FILE, load_people, people_file
from factory_assets.spec.people import Person
from factory_assets.web.visitor import ALL_ROLES, Visitor
from factory_resources.errors import RefusedError
from factory_resources.home.file_stamp import FileStamp, file_stamp
from factory_resources.security.account import account_name
from factory_resources.security.sessions import Session


class Doorkeeper:
    """Knows everybody in `people.yaml`; a change of the file counts at once.

    Without the file, the machine's owner, who logs in by a link, has every role.

    Raises:
        DeclarationError: from all methods, if the file is wrong.
    """

    def __init__(self) -> None:
        self._seen: FileStamp | None = None
        self._people: Mapping[str, Person] = {}

    def people(self) -> Mapping[str, Person] | None:
        """Return everybody by name; None if there is no file."""
        try:
            seen = file_stamp(people_file())
        except OSError:
            # It tells why it cannot be read either.
            return load_people()
        if seen is None:
            return None
        if seen != self._seen:
            self._people = load_people()
            self._seen = seen
        return self._people

    def owner(self) -> str:
        """Return whom a link lets in: the account, or its person in `people.yaml`.

        Raises:
            RefusedError: there are people, and none of them has this account and a role.
        """
        account, people = account_name(), self.people()
        if people is None:
            return account
        for name, person in people.items():
            if person.account == account and person.roles:
                return name
        raise RefusedError(
            f"nobody in {FILE} has the account {account!r} and a role",
            where=str(people_file()),
            remedy=f"log in with a password, or add `account: {account}` to a person with a role",
        )

    def called(self, claim: str) -> str | None:
        """Return the person whom the identity provider calls so; None if nobody may come in so."""
        for name, person in (self.people() or {}).items():
            if (person.oidc or name) == claim and person.roles:
                return name
        return None

    def visitor(self, session: Session) -> Visitor | None:
        """Return who makes the requests of a session; None if that person may come in no more."""
        people = self.people()
        if people is None:
            is_owner = session.method == "link" and session.person == account_name()
            return Visitor(session.person, ALL_ROLES, session.sha256) if is_owner else None
        person = people.get(session.person)
        if person is None or not person.roles:
            return None
        return Visitor(session.person, frozenset(person.roles), session.sha256)
