"""The text of a new `governance.yaml`: every question of the catalogue above an empty answer."""

from collections.abc import Iterator
from textwrap import wrap

from factory_assets.audit.requirements.catalogue import Catalogue, Requirement, RequirementSource
from factory_assets.spec import Pipeline

_HEAD = """\
# Who answers for {name}, and what only a person can say about it. Whatever is empty is open.
# People are named as in people.yaml, or by an e-mail address. To check it: factory check {name}
provider:
  name:
  address:
  contact:

# Who answers for the system.
owner:

# Who oversees it: {{who: jane, role: senior pathologist, can: stop the model, training: …}}
oversight: []

# The risk register: {{id: missed-tumour, what: …, affected: …, likelihood: remote,
#   severity: serious, measure: …, residual: …, accepted_by: jane, tests: [{gates}]}}
# likelihood: improbable, remote, occasional, probable, frequent
# severity: negligible, minor, serious, critical, catastrophic
risks: []

statements:
"""

_APPLIES = {
    "high": "",
    "all": " (of every risk tier)",
    "products": " (only of products)",
}


def governance_template(pipeline: Pipeline, catalogue: Catalogue) -> str:
    """Return the file for a pipeline; nothing in it is answered."""
    gates = ", ".join(gate.name for gate in pipeline.spec.evaluate.conditions) or "leaks"
    head = _HEAD.format(name=pipeline.name, gates=gates)
    return head + "".join(
        f"{line}\n" for source in catalogue.sources for line in _questions(source)
    )


def _questions(source: RequirementSource) -> Iterator[str]:
    asked = [one for one in source.requirements if one.person]
    if asked:
        yield from _comment(f"{source.title}: {source.source}")
    for requirement in asked:
        yield ""
        yield from _comment(_heading(requirement))
        yield from _comment(requirement.person)
        yield f"  {requirement.id}:"


def _heading(requirement: Requirement) -> str:
    return f"{requirement.title}{_APPLIES[requirement.applies]}"


def _comment(text: str) -> Iterator[str]:
    yield from (f"  # {line}" for line in wrap(text, 94))
