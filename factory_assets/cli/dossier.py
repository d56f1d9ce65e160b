"""`factory dossier`: write the dossier of a model version, or what differs between two.

What it contains belongs in `factory_assets.audit.dossier`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, assert_never

import click

from factory_assets.audit.dossier.difference import print_difference
from factory_assets.audit.dossier.dossier import Dossier, make_dossier
from factory_assets.audit.dossier.outlines import DocumentKind, print_document
from factory_assets.audit.dossier.printing import PrintedDocument
from factory_assets.audit.references import ModelName
from factory_assets.audit.resolver import find_model
from factory_assets.cli.output_file import write_document
from factory_assets.cli.shared import select_version
from factory_assets.execution.ledger_entries import require_ledger
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry

DossierFormat = Literal["md", "html", "pdf", "json", "oscal"]

_CHAMPION = "@champion"

_FORMATS: Mapping[str, DossierFormat] = {
    "": "md",
    ".md": "md",
    ".html": "html",
    ".pdf": "pdf",
    ".json": "json",
}
"""The format that a name asks for by its end."""


def write_dossier(
    name: str, kind: DocumentKind, form: DossierFormat | None, out: Path | None, other: int | None
) -> bool:
    """Write the dossier, or with `other` what differs from that version.

    Args:
        form: if None, that by which the name of the file ends, else Markdown.

    Returns:
        Whether no file that it rests on is missing or was changed.

    Raises:
        UnknownNameError: there is no such version, the name of the file ends in no known format,
            or the arguments contradict each other.
        FactoryError: a record cannot be read, or the file not be written.
    """
    home = Home.from_env()
    require_ledger(home)
    form = form or _format_of(out)
    if form in {"json", "oscal"} and (other is not None or kind != "dossier"):
        raise UnknownNameError(
            f"--format {form} exists for the whole dossier only",
            remedy="leave out --as and --diff, or choose --format md, html or pdf",
        )
    if form == "pdf" and out is None:
        raise UnknownNameError(
            "a PDF cannot be printed here", remedy="name a file: --out dossier.pdf"
        )
    pipeline, number = select_version(name.removesuffix(_CHAMPION))
    if name.endswith(_CHAMPION):
        number = find_model(ModelName(pipeline.name, "champion"), Registry(home)).version
    dossier = make_dossier(pipeline, number, home)
    is_whole = not dossier.damaged
    if other is None:
        content = _rendered(dossier, kind, form, home)
    else:
        before = make_dossier(pipeline, other, home)
        is_whole = is_whole and not before.damaged
        content = _formatted(print_difference(before, dossier), form, dossier, home)
    if out is None:
        click.echo(content.decode(), nl=False)
        return is_whole
    write_document(out, content)
    click.echo(f"wrote {out}: {dossier.name}, {len(content):,} bytes")
    return is_whole


def _format_of(out: Path | None) -> DossierFormat:
    if form := _FORMATS.get(out.suffix.lower() if out else ""):
        return form
    raise UnknownNameError(
        f"no format of a dossier ends in {out.suffix if out else ''!r}",
        where=str(out),
        remedy=f"choose a name that ends in {', '.join(filter(None, _FORMATS))}, or say --format",
    )


def _rendered(dossier: Dossier, kind: DocumentKind, form: DossierFormat, home: Home) -> bytes:
    if form == "json":
        from factory_assets.audit.dossier.json_format import dossier_json

        return dossier_json(dossier).encode()
    if form == "oscal":
        from factory_assets.audit.dossier.oscal import oscal_json

        return oscal_json(dossier).encode()
    return _formatted(print_document(dossier, kind), form, dossier, home)


def _formatted(
    document: PrintedDocument, form: DossierFormat, dossier: Dossier, home: Home
) -> bytes:
    match form:
        case "md":
            from factory_assets.audit.dossier.markdown import render_markdown

            return render_markdown(document).encode()
        case "html":
            from factory_assets.audit.dossier.html import render_html

            return render_html(document).encode()
        case "pdf":
            from factory_assets.audit.dossier.pdf import attached_files, render_pdf

            return render_pdf(document, attached_files(dossier), home)
        case "json" | "oscal":
            raise AssertionError("these formats have no document")
        case _:
            assert_never(form)
