"""The section schema of `factory.yaml`: what holds for all pipelines."""

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from factory_assets.spec.base import Spec, listed
from factory_assets.spec.boundary import Address, DeclaredBoundary
from factory_assets.spec.contract import Duration


class WitnessSettings(Spec):
    """Who cosigns the ledger, and how often."""

    policy: str = "witnesses.policy"
    """The file, beside this one, that names the witnesses and the quorum: a C2SP tlog-policy."""
    required: Annotated[int, Field(ge=1)] = 1
    """How many members of the quorum, such as organisations, must have seen a checkpoint."""
    every: Duration = "1d"
    """How old the last cosignature may be before every run warns."""


SecretName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
"""The name of a secret: an environment variable, or a file in the folder of secrets."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that are this machine."""

Words = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1), listed]


def _webhook(text: str) -> str:
    parts = urlsplit(text)
    # The port raises if it is none.
    if parts.port == 0 or not parts.hostname or parts.username is not None or "$" in parts.netloc:
        raise ValueError(
            "a webhook names a host, and a port if it is an unusual one, without a user or secrets"
        )
    return text


class Webhook(Spec):
    """A URL that alerts are posted to, as JSON."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$"), AfterValidator(_webhook)]
    """The URL; a word such as `${TOKEN}` in it is the name of a secret."""
    authorization: SecretName | None = None
    """The name of the secret that is sent in the header `Authorization`."""


def _address(text: str) -> str:
    from email.message import EmailMessage

    message = EmailMessage()
    try:
        message["To"] = text
        found = message["To"].addresses
    except Exception:  # noqa: BLE001 - Python's parser fails on some texts, with any error
        found = ()
    # Newer parsers take the name of `Ann <` for the address.
    is_whole = text.isprintable() and text.count("<") == text.count(">")
    if not is_whole or not found or not all(one.username for one in found):
        raise ValueError(f"{text!r} is not an address in one line; write such as ml@example.org")
    return text


MailAddress = Annotated[str, AfterValidator(_address)]
"""An address of e-mail, with or without a name: an alert that cannot be written down is never sent,
nor are those of the channels after it."""


class Email(Spec):
    """An e-mail for each alert."""

    to: Annotated[tuple[MailAddress, ...], Field(min_length=1), listed]
    """Addresses."""
    sender: MailAddress
    """The address that it comes from."""
    host: str
    """The SMTP server."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted; `none` only for a server on this machine."""
    user: str | None = None
    """The name to log in with. Default: no login."""
    password: SecretName | None = None
    """The name of the secret that is the password."""

    @model_validator(mode="after")
    def _is_private(self) -> Self:
        if self.tls == "none" and self.host not in LOOPBACK:
            raise ValueError("email.tls: none is for a server on this machine only")
        if (self.user is None) != (self.password is None):
            raise ValueError("email.user and email.password belong together")
        return self


class AlertChannel(Spec):
    """One way to tell people: a webhook, an e-mail, or a command."""

    webhook: Webhook | None = None
    email: Email | None = None
    command: Words | None = None
    """A program and its arguments; it gets the alert as JSON on its standard input."""
    pipelines: Annotated[tuple[str, ...], listed] = ()
    """The pipelines whose alerts go this way. Default: all."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(way is not None for way in (self.webhook, self.email, self.command)) != 1:
            raise ValueError("an alert goes by exactly one of webhook, email and command")
        return self


def _issuer(text: str) -> str:
    parts = urlsplit(text)
    _ = parts.port  # which raises if it is none
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None:
        raise ValueError("an issuer is an address such as https://id.example")
    if parts.query or parts.fragment or not text.isprintable() or " " in text:
        raise ValueError("an issuer has no query, no fragment and no spaces")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("an issuer begins with https://; http:// is for this machine only")
    return text


class OpenIdConnect(Spec):
    """The organisation's identity provider, at which people log in by OpenID Connect."""

    issuer: Annotated[str, AfterValidator(_issuer)]
    """The provider's address, exactly as the provider writes it in its tokens."""
    client: Annotated[str, Field(min_length=1, max_length=256)]
    """The id under which the provider knows the factory."""
    secret: SecretName
    """The name of the secret that the provider gave for it."""
    claim: Literal["preferred_username", "email", "sub"] = "preferred_username"
    """The provider's claim that identifies a person of `people.yaml`."""

    @property
    def host(self) -> str:
        """The provider's host, and its port if that is named."""
        return urlsplit(self.issuer).netloc


class LoginSettings(Spec):
    """How people log in at the front door, besides passwords."""

    oidc: OpenIdConnect | None = None


def _unquoted(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value


DiskAmount = Annotated[str, Field(pattern=r"^(\d{1,6}(MB|GB|TB)|0)$"), BeforeValidator(_unquoted)]
"""An amount of space on a disk: a whole number and `MB`, `GB` or `TB`, or 0."""


class DiskSettings(Spec):
    """How much of the disk of the home is left free, and what may stay on it."""

    keep: DiskAmount | None = None
    """Below this, such as `2GB`, no new run starts; `0` for never. Default: a fiftieth of the disk,
    at most 2 GB."""
    versions: Annotated[int, Field(ge=1)] | None = None
    """`factory gc` deletes all but so many of the newest versions of each model, unless one serves,
    served before, rolls out, or gave an answer that is still on record. Default: none is deleted.
    """


class OpenLineageSettings(Spec):
    """Where the events of OpenLineage go: to a file of the home, or to a server."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*\.jsonl$", max_length=64)] = (
        "events.jsonl"
    )
    """The file, one event a line, in the folder `openlineage` of the home."""
    address: Address | None = None
    """The server, such as `localhost:5000`, which `boundary.allow` of `factory.yaml` must contain,
    or the events wait in the home. Default: none, and events are written to the file."""
    path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=256)] = "/api/v1/lineage"
    """The path at the server."""
    namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.:/-]*$", max_length=128)] = "factory"
    """The namespace of jobs, tables and models: a name for this factory."""

    @model_validator(mode="after")
    def _goes_one_way(self) -> Self:
        fields = self.model_fields_set
        if "file" in fields and self.address:
            raise ValueError("openlineage has either a file or an address; remove one of them")
        if "path" in fields and not self.address:
            raise ValueError("openlineage.path is that of a server; declare its address, too")
        return self


class FactorySettings(Spec):
    """The settings of the factory."""

    witness: WitnessSettings | None = None
    alerts: Annotated[tuple[AlertChannel, ...], listed] = ()
    """Who is told of alarms; each entry is told of every alarm once. Default: nobody."""
    login: LoginSettings | None = None
    """How people log in. Default: by a password, and the owner of the machine by a link."""
    boundary: DeclaredBoundary | None = None
    """What every run may reach, beside what its pipeline declares. Default: nothing."""
    disk: DiskSettings | None = None
    """How much of the disk is left free, and how many versions stay on it."""
    openlineage: OpenLineageSettings | None = None
    """Where the events of OpenLineage go, such as `{file: events.jsonl}`. Default: nowhere."""

    @property
    def refused_events(self) -> str | None:
        """The server of events that the boundary does not allow; None if it may be sent them."""
        address = self.openlineage.address if self.openlineage else None
        allowed = self.boundary.allow if self.boundary else ()
        return None if address in allowed else address
