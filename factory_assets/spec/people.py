"""The people of `people.yaml`: their roles and public keys.

Reading the file belongs in `declarations.people`; what each was allowed when, in the ledger.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, RootModel, model_validator

from factory_assets.spec.base import Spec, listed

Role = Literal["engineer", "approver", "auditor"]

ROLES: tuple[str, ...] = get_args(Role)

_KEY_BYTES = 51
"""An ssh-ed25519 key: the lengths and the name take 19 bytes, the key 32."""

PersonName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9._-]*$", max_length=64)]
"""Lower case letters, digits, dots, underscores and hyphens, beginning with a letter."""


_HOST = re.compile(r"(?=.*[a-z])[a-z0-9_-]+(\.[a-z0-9_-]+)*")

_PASSKEYS = (
    ("3059301306072a8648ce3d020106082a8648ce3d03010703420004", 64, ""),
    ("302a300506032b6570032100", 32, ""),
    ("30820122300d06092a864886f70d01010105000382010f003082010a0282010100", 256, "0203010001"),
)
"""A SubjectPublicKeyInfo of ES256, Ed25519 and RS256 (2048 bits): what is before and after the
bytes of the key, in hexadecimal, and how many these are."""


def _public_key(text: str) -> str:
    """Return the key without its comment."""
    words = text.split()
    if words[:1] == ["passkey"]:
        return _passkey(words)
    if len(words) < 2 or words[0] != "ssh-ed25519":
        raise ValueError(
            "a key begins with `ssh-ed25519`, as `factory key new` prints it, or with `passkey`, "
            "as your own page shows it"
        )
    content = _decoded(words[1])
    if len(content) != _KEY_BYTES or not re.match(rb"\0\0\0\x0bssh-ed25519\0\0\0 ", content):
        raise ValueError("the key is damaged: it is not an ssh-ed25519 key")
    return f"{words[0]} {words[1]}"


def _passkey(words: list[str]) -> str:
    if len(words) < 3 or not _HOST.fullmatch(words[1]):
        raise ValueError("after `passkey` come the name of a host and the key")
    content = _decoded(words[2])
    for before, length, after in _PASSKEYS:
        start, end = bytes.fromhex(before), bytes.fromhex(after)
        is_whole = len(content) == len(start) + length + len(end)
        if is_whole and content.startswith(start) and content.endswith(end):
            return " ".join(words[:3])
    raise ValueError("the key is damaged: it is not that of a passkey")


def _decoded(text: str) -> bytes:
    try:
        content = b64decode(text, validate=True)
    except Base64Error as error:
        raise ValueError("the key is damaged: it is not base64") from error
    if b64encode(content).decode() != text:
        raise ValueError("the key is damaged: its base64 is not as it was printed")
    return content


class Person(Spec):
    """One person: what they may do, and by which keys they sign."""

    roles: Annotated[tuple[Role, ...], listed]
    """What the person may do: `engineer`, `approver`, `auditor`."""
    keys: Annotated[tuple[Annotated[str, AfterValidator(_public_key)], ...], listed] = ()
    """The person's public keys: lines that begin with `ssh-ed25519` or `passkey`."""
    account: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """The person's account on this machine, so that the factory knows whose runs are theirs."""

    oidc: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """What the identity provider calls the person, if not by their name here."""


class People(RootModel[dict[PersonName, Person]]):
    """Everybody by name."""

    @model_validator(mode="after")
    def _keys_and_accounts_are_of_one_person(self) -> Self:
        for field in ("keys", "account", "oidc"):
            owners: dict[str, str] = {}
            for name, person in self.root.items():
                value = getattr(person, field)
                for one in value if isinstance(value, tuple) else filter(None, [value]):
                    if owners.setdefault(one, name) != name:
                        raise ValueError(
                            f"{owners[one]} and {name} have the same {field.removesuffix('s')}; "
                            "each person needs their own"
                        )
        return self

    @model_validator(mode="after")
    def _nobody_is_called_like_another(self) -> Self:
        for name, person in self.root.items():
            other = self.root.get(person.oidc or "")
            if other is not None and other is not person and other.oidc is None:
                raise ValueError(
                    f"{name} has the oidc of {person.oidc}, whose name it is; "
                    f"give {person.oidc} an oidc too"
                )
        return self
