"""The catalogue of requirements: for each, the evidence of the factory, and what a person must say.

The wording is our own. The texts themselves, and whether a system conforms to them, do not belong
here.
"""

from datetime import date
from functools import cached_property
from importlib.resources import files
from itertools import chain
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from factory_assets.declarations.yaml_document import parse
from factory_assets.spec.base import suggest
from factory_resources.errors import UnknownNameError

EvidenceKind = Literal[
    "version_chain",
    "version_difference",
    "sources",
    "data_contract",
    "lineage",
    "personal_data",
    "leaks",
    "splits",
    "code",
    "environment",
    "hardware",
    "energy",
    "training",
    "search",
    "metrics",
    "slices",
    "fairness",
    "robustness",
    "calibration",
    "gates",
    "approvals",
    "interface",
    "influence",
    "prediction_log",
    "drift",
    "retention",
    "ledger",
    "boundary",
]
"""What the factory itself can show."""

EVIDENCE_KINDS: tuple[EvidenceKind, ...] = get_args(EvidenceKind)

Section = Literal["provider", "owner", "oversight", "risks"]
"""A section of `governance.yaml`."""

Applies = Literal["high", "all", "products"]
"""To what a requirement applies: systems of high risk, all systems, or products, such as those of
Annex I of the AI Act or those with digital elements."""


def applying_to(tier: str) -> frozenset[Applies]:
    """Return to what a requirement must apply, to apply to a pipeline of a risk tier.

    Whether it is a part of a product is not declared: those requirements are not counted.
    """
    return frozenset({"all", "high"} if tier == "high" else {"all"})


_FILES = ("ai_act.yaml", "cyber_resilience_act.yaml", "nist_ai_300_1.yaml")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Requirement(_Part):
    """One point of a regulation."""

    id: Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)*(\.[a-z0-9-]+)+$")]
    """Such as `annex-iv.1a` or `article.10.2b`."""
    title: str
    evidence: tuple[EvidenceKind, ...]
    """What the factory can show for it; empty if nothing."""
    person: str
    """The question that only a person can answer; empty if there is none."""
    applies: Applies
    declared: tuple[Section, ...] = ()
    """Sections of `governance.yaml` that belong to the answer."""


class RequirementDate(_Part):
    """From when something applies."""

    id: str
    on: date
    what: str
    source: str
    """The article that says so."""


class RequirementSource(_Part):
    """A regulation or guidance, with its points."""

    title: str
    source: str
    status: str
    """From what the points were written, or `not read`."""
    dates: tuple[RequirementDate, ...]
    requirements: tuple[Requirement, ...]


class Catalogue(_Part):
    """Every source, in the order of the files."""

    sources: tuple[RequirementSource, ...]

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """Return the points of all sources."""
        return tuple(chain.from_iterable(one.requirements for one in self.sources))

    @property
    def dates(self) -> tuple[RequirementDate, ...]:
        """Return the dates of all sources."""
        return tuple(chain.from_iterable(one.dates for one in self.sources))

    def by_id(self, name: str) -> Requirement:
        """Return the requirement with this id.

        Raises:
            UnknownNameError: there is none; the nearest is suggested.
        """
        found = self._by_id.get(name)
        if found is None:
            raise UnknownNameError(f"no requirement {name!r}", remedy=suggest(name, self._by_id))
        return found

    @cached_property
    def _by_id(self) -> dict[str, Requirement]:
        return {one.id: one for one in self.requirements}

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        for kind, ids in (
            ("requirement", [one.id for one in self.requirements]),
            ("date", [one.id for one in self.dates]),
        ):
            if again := sorted({one for one in ids if ids.count(one) > 1}):
                raise ValueError(f"the {kind} {again[0]} stands twice")
        return self


def catalogue() -> Catalogue:
    """Return every requirement that the factory knows."""
    folder = files(__package__)
    return Catalogue.model_validate(
        {"sources": [parse(folder.joinpath(name).read_bytes()).data for name in _FILES]}
    )
