"""What the ledger says of people: what each may do now, and what `people.yaml` has changed.

Reading the file belongs in `declarations.people`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from factory_assets.declarations.people import FILE, has_people_file, load_people, people_file
from factory_assets.spec.people import Person
from factory_resources.errors import DeclarationError, RefusedError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import PersonChanged
from factory_resources.ledger.ledger import Ledger, entries_in
from factory_resources.ledger.log import Log
from factory_resources.security.account import account_name
from factory_resources.security.commitments import Commitments

_SUBJECT = PersonChanged.subject_of()


@dataclass(frozen=True)
class PersonChange:
    """A difference between `people.yaml` and the ledger."""

    entry: PersonChanged
    text: str
    """What changed, for a person."""


@dataclass(frozen=True)
class KnownPerson:
    """A person of `people.yaml`."""

    name: str
    commitment: str
    declared: Person
    account: str | None
    """The commitment to their account."""


def people_in(log: Log) -> dict[str, PersonChanged]:
    """Return what the ledger says of each person now, by commitment, withdrawn ones included."""
    entries = [*entries_in(log, PersonChanged, _SUBJECT)]
    return {entry.person: entry for _, entry in reversed(entries)}


def known_people(home: Home) -> list[KnownPerson]:
    """Return everybody in `people.yaml`.

    Raises:
        DeclarationError: the file is wrong.
    """
    salts = Commitments(home)
    return [
        KnownPerson(
            name,
            salts.of("person", name),
            person,
            salts.of("account", person.account) if person.account else None,
        )
        for name, person in load_people().items()
    ]


def person_changes(log: Log, home: Home) -> Iterator[PersonChange]:
    """Yield how `people.yaml` differs from the ledger."""
    before, declared = people_in(log), known_people(home)
    for person in declared:
        entry = PersonChanged(
            subject=_SUBJECT,
            person=person.commitment,
            roles=person.declared.roles,
            keys=person.declared.keys,
            account=person.account,
        )
        old = before.get(person.commitment)
        if old is None or _rights(old) != _rights(entry):
            what = "added" if old is None or not _may_anything(old) else "changed"
            roles = ", ".join(entry.roles) or "no role"
            yield PersonChange(entry, f"{person.name} {what}: {roles}, {_keys(entry.keys)}")
    names, salts = {person.commitment for person in declared}, Commitments(home)
    for commitment, old in before.items():
        if commitment not in names and _may_anything(old):
            entry = PersonChanged(subject=_SUBJECT, person=commitment, roles=(), keys=())
            name = salts.name_of("person", commitment) or "a person without a known name"
            yield PersonChange(entry, f"{name} withdrawn: {', '.join(old.roles) or 'no role'}")


def require_people(home: Home) -> None:
    """Require that `people.yaml` can be read, and is there if the ledger has people.

    Raises:
        DeclarationError: it is wrong or missing: not everybody is withdrawn by a wrong folder.
    """
    load_people()
    if has_people_file() or not Ledger(home).exists:
        return
    with Ledger(home).reading() as log:
        if any(_may_anything(one) for one in people_in(log).values()):
            raise DeclarationError(
                "this file is missing, and the ledger has people",
                where=str(people_file()),
                remedy="restore it, or set FACTORY_DEFS as before; an empty file withdraws all",
            )


def enter_people(home: Home) -> list[str]:
    """Append what changed in `people.yaml`, and return it in one line each.

    Raises:
        DeclarationError: the file is wrong.
        StorageError: the ledger cannot be written.
    """
    require_people(home)
    changes: list[PersonChange] = []

    def decide(log: Log) -> list[PersonChanged]:
        changes[:] = person_changes(log, home)
        return [change.entry for change in changes]

    Ledger(home).append_decided(decide)
    return [f"{FILE}: {change.text}" for change in changes]


def owner_of(key: str, people: Iterable[KnownPerson]) -> KnownPerson:
    """Return the person who has this public key.

    Raises:
        RefusedError: nobody has it.
    """
    for person in people:
        if key in person.declared.keys:
            return person
    raise RefusedError(
        f"nobody in {FILE} has the key {key}",
        remedy=f"add the key to a person in {FILE}, beside the pipelines",
    )


def may(
    people: Mapping[str, PersonChanged], person: str | None, key: str | None, role: str
) -> bool:
    """Whether the ledger says that the person has this key and this role."""
    known = people.get(person or "")
    return known is not None and key in known.keys and role in known.roles


def require_role(log: Log, person: KnownPerson, key: str, role: str, where: str) -> None:
    """Require that the ledger lets the person act in a role.

    Raises:
        RefusedError: otherwise.
    """
    if not may(people_in(log), person.commitment, key, role):
        raise RefusedError(
            f"{person.name} does not have the role {role}",
            where=where,
            remedy=f"let a person with the role {role} decide, or change people.yaml",
        )


def store_salts(home: Home) -> None:
    """Store the salts of everybody whom a run of this account enters, who may not store them.

    Raises:
        DeclarationError: `people.yaml` is wrong.
        StorageError: the salts cannot be written.
    """
    known_people(home)
    account_commitment(home)


def account_commitment(home: Home) -> str:
    """Return the commitment to the account that this process runs as."""
    return Commitments(home).of("account", account_name())


def _rights(entry: PersonChanged) -> tuple[object, ...]:
    return entry.roles, entry.keys, entry.account


def _may_anything(entry: PersonChanged) -> bool:
    return bool(entry.roles or entry.keys)


def _keys(keys: tuple[str, ...]) -> str:
    return f"{len(keys)} key{'' if len(keys) == 1 else 's'}"
