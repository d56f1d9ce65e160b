"""Render a page from its template; every value is escaped.

Templates are in `templates`; what a page shows belongs in the module of the page.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse

from factory_resources.security.request_guard import STRICTER

if TYPE_CHECKING:
    from jinja2 import Environment

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("factory_assets.web.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return the page of a template; it loads nothing but its style, and runs no script.

    Args:
        name: of the template, without `.html`.
        values: what the template shows.
    """
    text = _templates().get_template(f"{name}.html").render(**values)
    headers = {STRICTER.decode(): _POLICY, "cache-control": "no-store"}
    return HTMLResponse(text, status, headers)
