"""A dossier as assessment results of OSCAL 1.1 (NIST): observations, and a finding a requirement.

`satisfied` says that all evidence that the factory can show is there, and that a person has signed
an answer if one is asked for. It never says that a system conforms.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, UUID, uuid5

from factory_assets.audit.dossier.answers import PersonAnswer
from factory_assets.audit.dossier.cited import Citation, FactTable
from factory_assets.audit.dossier.dossier import Dossier
from factory_assets.audit.dossier.markdown import escape_markdown
from factory_assets.audit.dossier.printing import print_text
from factory_assets.audit.requirements.catalogue import Requirement, catalogue
from factory_resources.ledger.statements import URN

_VERSION = "1.1.3"

_REMARKS = (
    "The state says whether evidence is present and answers are signed. It does not say that a "
    "requirement is met: that is for people to judge."
)


def oscal_json(dossier: Dossier) -> str:
    """Return the dossier as an OSCAL document; the same dossier gives the same bytes."""
    document = {"assessment-results": _Results(dossier).document()}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


class _Results:
    def __init__(self, dossier: Dossier) -> None:
        self._dossier = dossier
        self._namespace = uuid5(NAMESPACE_URL, f"{URN}:dossier:{dossier.key}:{dossier.size}")

    def document(self) -> Mapping[str, Any]:
        dossier, asked = self._dossier, catalogue().requirements
        return {
            "uuid": self._id("document"),
            "metadata": {
                "title": f"Evidence about {dossier.name}",
                "last-modified": dossier.made,
                "version": dossier.name,
                "oscal-version": _VERSION,
                "remarks": _REMARKS,
            },
            "import-ap": {"href": f"#{self._id('plan')}"},
            "results": [
                {
                    "uuid": self._id("result"),
                    "title": f"Evidence about {dossier.name}",
                    "description": "What the records and the ledger of the factory show.",
                    "start": dossier.made,
                    "reviewed-controls": {
                        "control-selections": [
                            {"include-controls": [{"control-id": one.id} for one in asked]}
                        ]
                    },
                    "observations": [
                        *(self._observation(table) for table in dossier.tables),
                        *(self._answer(name, one) for name, one in dossier.answers.items()),
                    ],
                    "findings": [self._finding(one) for one in asked],
                }
            ],
            "back-matter": {
                "resources": [
                    {
                        "uuid": self._id("plan"),
                        "title": "Catalogue of requirements of the factory",
                        "description": "There is no assessment plan in OSCAL; the requirements "
                        "and the evidence for each are those of the catalogue.",
                    }
                ]
            },
        }

    def _observation(self, table: FactTable) -> Mapping[str, Any]:
        citations = dict.fromkeys(value.citation for value in table.values())
        observation = {
            "uuid": self._id(f"observation/{table.name}"),
            "title": table.title,
            "description": f"Evidence of {table.kind.replace('_', ' ')}.",
            "methods": ["EXAMINE"],
            "collected": self._dossier.made,
        }
        evidence = [_evidence(one, table.title) for one in citations]
        return {**observation, "relevant-evidence": evidence} if evidence else observation

    def _answer(self, requirement: str, answer: PersonAnswer) -> Mapping[str, Any]:
        by = print_text(answer.by) or "a person whose name is not known any more"
        title = f"Answer to {requirement}"
        observation = {
            "uuid": self._id(f"answer/{requirement}"),
            "title": title,
            # Readers take it for Markdown.
            "description": escape_markdown(print_text(answer.text)),
            "props": [{"name": "state", "ns": URN, "value": answer.state}],
            "methods": ["INTERVIEW"],
            "collected": answer.signed,
            "remarks": escape_markdown(f"Signed about version {answer.version} by {by}."),
        }
        evidence = [_evidence(answer.citation, title)] if answer.citation else []
        return {**observation, "relevant-evidence": evidence} if evidence else observation

    def _finding(self, asked: Requirement) -> Mapping[str, Any]:
        tables = [table for kind in asked.evidence for table in self._dossier.of(kind)]
        gaps = [*self._gaps(asked)]
        names = [f"observation/{one.name}" for one in tables]
        names += [f"answer/{asked.id}"] if asked.id in self._dossier.answers else []
        related = [{"observation-uuid": self._id(name)} for name in names]
        state = "not-satisfied" if gaps else "satisfied"
        finding = {
            "uuid": self._id(f"finding/{asked.id}"),
            "title": f"{asked.id}: {asked.title}",
            "description": f"Missing: {'; '.join(gaps)}." if gaps else "Evidence is present.",
            "target": {
                "type": "objective-id",
                "target-id": asked.id,
                "status": {"state": state, "remarks": _REMARKS},
            },
        }
        return {**finding, "related-observations": related} if related else finding

    def _gaps(self, asked: Requirement) -> Iterator[str]:
        yield from (one.text for one in self._dossier.damage(asked.evidence))
        for kind in asked.evidence:
            if not self._dossier.of(kind):
                yield f"evidence of {kind.replace('_', ' ')}"
        state = self._dossier.answer(asked.id).state
        if asked.person and state != "signed":
            stale = "a new signature, since the evidence or the answer has changed"
            yield stale if state == "stale" else "the signed answer of a person"

    def _id(self, name: str) -> str:
        """Return the UUID of a part; the same dossier gives the same (RFC 9562, version 5)."""
        identifier: UUID = uuid5(self._namespace, f"{self._dossier.name}/{name}")
        return str(identifier)


def _evidence(citation: Citation, description: str) -> Mapping[str, Any]:
    properties = {
        "sha256": citation.sha256,
        "ledger-entry": str(citation.entry),
        "leaf-hash": citation.leaf,
    }
    return {
        "href": quote(citation.path),
        "description": description,
        "props": [{"name": name, "ns": URN, "value": value} for name, value in properties.items()],
    }
