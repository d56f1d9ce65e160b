"""What only a person can say about a pipeline, as its `governance.yaml` declares it.

Which requirements there are belongs in `audit.requirements`, reading the file in
`declarations.governance`. Nothing of it changes a result.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from factory_assets.spec.base import Spec, listed

_SOMEONE = re.compile(r"[a-z][a-z0-9._-]{0,63}|[^@\s:]+@[^@\s]+\.[^@\s.]+")

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What controls a terminal or the direction of a text, so that a person reads another one."""


def _readable(value: str) -> str:
    if found := _CONTROL.search(value):
        raise ValueError(f"contains the control character {found[0]!a}; remove it")
    return value


Text = Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(_readable)]


def _someone(value: str) -> str:
    if not _SOMEONE.fullmatch(value):
        raise ValueError(f"{value!r} is neither a name in people.yaml nor an e-mail address")
    return value


Someone = Annotated[str, AfterValidator(_someone)]
"""A person: their name in `people.yaml`, or an e-mail address, also that of a role."""

Likelihood = Literal["improbable", "remote", "occasional", "probable", "frequent"]
Severity = Literal["negligible", "minor", "serious", "critical", "catastrophic"]


class SystemProvider(Spec):
    """Who provides the system."""

    name: Text | None = None
    """The name of the organisation or person."""
    address: Text | None = None
    """The postal address."""
    contact: Text | None = None
    """How to reach them, such as an e-mail address."""


class Overseer(Spec):
    """One person who oversees the system."""

    who: Someone
    """Who oversees it: a name in `people.yaml`, or an e-mail address."""
    role: Text
    """In which role, such as `senior pathologist`."""
    can: Text
    """What they can do, such as `stop the model`."""
    training: Text | None = None
    """How they were trained for it."""


class RegisteredRisk(Spec):
    """One risk of the register.

    The words for likelihood and severity are those of the examples in ISO/TR 24971.
    """

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]
    """The name by which the risk is referred to, such as `missed-tumour`."""
    what: Text
    """What may happen."""
    affected: Text
    """Who is affected."""
    likelihood: Likelihood
    """How likely it is, without the measure: `improbable`, `remote`, `occasional`, `probable`,
    `frequent`."""
    severity: Severity
    """How bad it is: `negligible`, `minor`, `serious`, `critical`, `catastrophic`."""
    measure: Text
    """What is done against it."""
    residual: Text
    """What remains of it."""
    accepted_by: Someone | None = None
    """Who accepted what remains. Default: nobody has yet."""
    tests: Annotated[tuple[str, ...], listed] = ()
    """The gates, checks and slices of `defs.yaml` that measure it, such as `roc_auc_at_least`."""


class Governance(Spec):
    """The whole file. Everything may be left open."""

    provider: SystemProvider | None = None
    """Who provides the system."""
    owner: Someone | None = None
    """Who answers for the system: a name in `people.yaml`, or an e-mail address. Required for
    risk tier `high` before a version serves."""
    oversight: Annotated[tuple[Overseer, ...], listed] = ()
    """Who oversees the system. Required for risk tier `high` before a version serves."""
    risks: Annotated[tuple[RegisteredRisk, ...], listed] = ()
    """The risk register. Required for risk tier `high` before a version serves."""
    statements: dict[str, Text | None] = {}
    """The answers to the questions of the requirements, by the id of the requirement, such as
    `annex-iv.2g`; an empty one is open."""

    @model_validator(mode="after")
    def _risks_have_ids_of_their_own(self) -> Self:
        ids = [risk.id for risk in self.risks]
        if again := next((one for one in ids if ids.count(one) > 1), None):
            raise ValueError(f"risks: two risks have the id {again!r}; rename one of them")
        return self
