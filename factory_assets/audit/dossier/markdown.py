"""A printed document as Markdown (CommonMark, with the tables and footnotes of GitHub).

Every text is escaped, so that nothing of it is markup.
"""

import re
from collections.abc import Iterator, Sequence

from factory_assets.audit.dossier.printing import (
    PrintedDocument,
    PrintedParagraph,
    PrintedSection,
    PrintedTable,
)

_MARKUP = re.compile(r"([!-/:-@\[-`{-~])")
"""Every ASCII character of punctuation: each may be escaped (CommonMark, 2.4)."""

_HARMLESS = re.compile(r"\\([,.:;/%()=?'\"+-])")
"""Characters that are no markup within a text, so that people can read the source."""


def render_markdown(document: PrintedDocument) -> str:
    """Return the document as Markdown."""
    return "\n".join(_lines(document)) + "\n"


def escape_markdown(text: str) -> str:
    """Return a text, in one line, that is shown as it is."""
    escaped = _HARMLESS.sub(r"\1", _MARKUP.sub(r"\\\1", text))
    # GitHub makes links of addresses.
    escaped = escaped.replace("://", "\\://").replace("www.", "www\\.")
    # At the start of a line, a number with a dot, a plus or a hyphen begins a list.
    return re.sub(r"^(\s*)(\d*)([-+.)=])", r"\1\2\\\3", escaped)


def _lines(document: PrintedDocument) -> Iterator[str]:
    yield f"# {escape_markdown(document.title)}"
    yield ""
    for section in document.sections:
        yield from _section(section, 2)
    yield "## Notes"
    yield ""
    for note in document.notes:
        yield f"[^{note.number}]: {escape_markdown(note.text)}"


def _section(section: PrintedSection, level: int) -> Iterator[str]:
    yield f"{'#' * level} {escape_markdown(section.title)}"
    yield ""
    for block in section.blocks:
        yield from _paragraph(block) if isinstance(block, PrintedParagraph) else _table(block)
        yield ""
    for child in section.sections:
        yield from _section(child, level + 1)


def _paragraph(paragraph: PrintedParagraph) -> Iterator[str]:
    # A backslash at the end of a line breaks it, but not at the end of a paragraph.
    parts = re.split(r"\n{2,}", paragraph.text)
    broken = ("\\\n".join(map(escape_markdown, part.split("\n"))) for part in parts)
    text = "\n\n".join(broken) + _references(paragraph.notes)
    if paragraph.kind == "text":
        yield text
    else:
        yield from (f"> {line}".rstrip() for line in text.split("\n"))


def _table(table: PrintedTable) -> Iterator[str]:
    yield f"**{escape_markdown(table.title)}**{_references(table.notes)}"
    yield ""
    notes = [*map(_references, table.row_notes)]
    header = [*map(escape_markdown, table.header), *(["notes"] if notes else [])]
    yield _row(header)
    yield _row(["---"] * len(header))
    for number, row in enumerate(table.rows):
        yield _row([*map(escape_markdown, row), *notes[number : number + 1]])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _references(notes: Sequence[int]) -> str:
    return "".join(f"[^{number}]" for number in notes)
