"""The dossier for programs, in the format `factory.dossier`: every value with its place.

`factory_verify.py` checks it against a home or an archive.
"""

import json
from typing import Any

from factory_assets.audit.dossier.answers import PersonAnswer
from factory_assets.audit.dossier.cited import Cell, Citation, FactTable
from factory_assets.audit.dossier.damage import DamagedFile
from factory_assets.audit.dossier.dossier import Dossier
from factory_assets.audit.requirements.catalogue import Requirement, catalogue

FORMAT, VERSION = "factory.dossier", 1


def dossier_json(dossier: Dossier) -> str:
    """Return the dossier as JSON."""
    sources = {citation: place for place, citation in enumerate(dossier.citations)}
    content = {
        "format": FORMAT,
        "version": VERSION,
        "pipeline": dossier.pipeline,
        "model_version": dossier.version,
        "made": dossier.made,
        "champion": dossier.champion,
        "size": dossier.size,
        "checkpoint": dossier.checkpoint,
        "key": dossier.key,
        "sources": [vars(citation) for citation in sources],
        "facts": [_table(table, sources) for table in dossier.tables],
        "requirements": [_requirement(one, dossier) for one in catalogue().requirements],
        "entries": {str(number): vars(entry) for number, entry in dossier.entries.items()},
    }
    damaged = dossier.damage(dossier.damaged)
    if damaged:
        content["damaged"] = [_damaged(one, dossier) for one in damaged]
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _table(table: FactTable, sources: dict[Citation, int]) -> dict[str, Any]:
    return {
        "kind": table.kind,
        "name": table.name,
        "title": table.title,
        "header": table.header,
        "rows": [[_cell(cell, sources) for cell in row] for row in table.rows],
        "omitted": table.omitted,
    }


def _cell(cell: Cell, sources: dict[Citation, int]) -> object:
    if isinstance(cell, str):
        return cell
    return {"value": cell.value, "source": sources[cell.citation], "pointer": cell.pointer}


def _damaged(file: DamagedFile, dossier: Dossier) -> dict[str, Any]:
    kinds = [kind for kind, files in dossier.damaged.items() if file in files]
    return {"path": file.path, "entry": file.entry, "evidence": kinds}


def _requirement(asked: Requirement, dossier: Dossier) -> dict[str, Any]:
    damaged = dossier.damage(asked.evidence)
    lacking = {"damaged": [one.entry for one in damaged]} if damaged else {}
    return {
        "id": asked.id,
        "title": asked.title,
        "evidence": [kind for kind in asked.evidence if dossier.of(kind)],
        "gaps": [kind for kind in asked.evidence if not dossier.of(kind)],
        **lacking,
        "question": asked.person,
        "answer": _answer(dossier.answer(asked.id)) if asked.person else None,
    }


def _answer(answer: PersonAnswer) -> dict[str, Any]:
    return {
        "state": answer.state,
        "text": answer.text,
        "by": answer.by,
        "signed": answer.signed,
        "changed": answer.changed,
        "declared": answer.sections,
        "version": answer.version,
        "entry": answer.citation.entry if answer.citation else None,
    }
