"""A printed document as PDF/A-3a and PDF/UA-1, with the dossier's JSON and its proofs attached.

The compiler sees a folder with a constant layout, which imports nothing, and data; it sees no fonts
or packages of the machine. The same document gives the same bytes.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from factory_assets.audit.dossier.dossier import Dossier
from factory_assets.audit.dossier.json_format import dossier_json
from factory_assets.audit.dossier.printing import PrintedDocument
from factory_resources.errors import SettingError
from factory_resources.home.home import Home

STANDARDS = ["a-3a", "ua-1"]

_LAYOUT = Path(__file__).with_name("templates") / "document.typ"

_SHOWN = (
    (0x20, 0x7E),
    (0xA1, 0xAC),
    (0xAE, 0x17F),
    (0x391, 0x3A1),  # Greek
    (0x3A3, 0x3C9),
    (0x410, 0x44F),  # Cyrillic
    (0x2013, 0x2014),  # dashes
    (0x2018, 0x201E),  # quotation marks
    (0x2026, 0x2026),  # an ellipsis
    (0x20AC, 0x20AC),  # the euro
)
"""Ranges of characters for which the compiler's own fonts have glyphs."""


@dataclass(frozen=True)
class AttachedFile:
    """A file within a PDF."""

    name: str
    type: str
    """Its media type."""
    description: str
    content: bytes


def render_pdf(document: PrintedDocument, files: Sequence[AttachedFile], home: Home) -> bytes:
    """Return the document as PDF.

    Args:
        files: to attach; their names are plain.

    Raises:
        SettingError: the compiler is not installed.
    """
    typst = _compiler()
    made = datetime.fromisoformat(document.made).astimezone(UTC)
    with home.scratch() as folder:
        shutil.copy(_LAYOUT, folder / "main.typ")
        for file in files:
            (folder / file.name).write_bytes(file.content)
        data = _displayable(asdict(document))
        data["made"] = [*made.timetuple()[:6]]
        data["files"] = [
            {"name": file.name, "type": file.type, "description": file.description}
            for file in files
        ]
        (folder / "document.json").write_text(json.dumps(data), encoding="utf-8")
        packages = folder / "packages"
        packages.mkdir()
        compiled: bytes = typst.compile(
            folder / "main.typ",
            root=folder,
            format="pdf",
            ignore_system_fonts=True,
            package_path=packages,
            package_cache_path=packages,
            pdf_standards=STANDARDS,
        )
    return compiled


def attached_files(dossier: Dossier) -> tuple[AttachedFile, ...]:
    """Return what is attached to a document about a dossier: its JSON, and the version's proof."""
    subject = f"model/{dossier.name}"
    number = max(
        number
        for number, entry in dossier.entries.items()
        if json.loads(entry.body).get("subject") == subject
    )
    proof = dossier.entries[number].proof.encode()
    return (
        AttachedFile(
            "dossier.json",
            "application/json",
            "Every value with its place, and the proofs of the entries",
            dossier_json(dossier).encode(),
        ),
        AttachedFile(
            f"entry-{number}.tlog-proof",
            "text/plain",
            f"The proof that entry {number}, about the version, is in the ledger",
            proof,
        ),
    )


def _compiler() -> ModuleType:
    try:
        import typst
    except ImportError as error:
        raise SettingError(
            "a PDF needs the extra `dossier`, which is not installed",
            remedy="pip install 'sovereign-ai-factory[dossier]', or write --format html",
        ) from error
    module: ModuleType = typst
    return module


def _displayable(value: Any) -> Any:
    """Replace characters without a glyph by their number, in all texts of a document."""
    match value:
        case str():
            return "".join(c if _has_glyph(c) else f"U+{ord(c):04X} " for c in value)
        case dict():
            return {name: _displayable(part) for name, part in value.items()}
        case list() | tuple():
            return [_displayable(part) for part in value]
        case _:
            return value


def _has_glyph(character: str) -> bool:
    return character == "\n" or any(first <= ord(character) <= last for first, last in _SHOWN)
