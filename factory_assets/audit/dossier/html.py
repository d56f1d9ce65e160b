"""A printed document as one HTML file: no script, nothing from elsewhere, every text escaped."""

from functools import cache
from typing import TYPE_CHECKING

from factory_assets.audit.dossier.printing import PrintedDocument

if TYPE_CHECKING:
    from jinja2 import Template


def render_html(document: PrintedDocument) -> str:
    """Return the document as HTML."""
    return _template().render(document=document)


@cache
def _template() -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("factory_assets.audit.dossier"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("document.html")
