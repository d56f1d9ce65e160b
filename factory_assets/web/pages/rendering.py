"""Render a page from its template; every value is escaped.

Templates are in `templates` here and in `web.auditor`; what a page shows belongs in the module of
the page.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse

from factory_assets.results.metric_text import metric_text
from factory_resources import durations
from factory_resources.metering.si_prefix import si_prefixed
from factory_resources.security.request_guard import STRICTER

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

PASSKEY_SCRIPT = "/passkey.js"
"""The path of the script of pages that ask for a passkey."""

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


@cache
def _templates() -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    packages = ("factory_assets.web.pages", "factory_assets.web.auditor")
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        finalize=visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "minute": minute,
        "duration": duration,
        "number": number,
        "si_prefixed": si_prefixed,
        "value_text": value_text,
    }
    return made


def visible(value: Any) -> Any:
    """Return a text whose invisible characters, which could reverse it, are written as escapes."""
    if not isinstance(value, str) or value.isprintable() or hasattr(value, "__html__"):
        return value
    return "".join(c if c.isprintable() or c.isspace() else ascii(c)[1:-1] for c in value)


def minute(time: str) -> Markup:
    """Return a time in ISO 8601, which is in UTC, as people read it: `2026-11-26 14:48`.

    It is an element of its own, so that no line of a page ends within it.
    """
    from markupsafe import Markup

    return Markup("<time>{}</time>").format(durations.minute(time))


def duration(seconds: float) -> str:
    """Return such as `8 s`, `12 min` or `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3600:.1f} h"


def number(value: float | None) -> str:
    """Return a metric with four decimals or digits; nothing for None."""
    return "" if value is None else metric_text(value, 4)


def value_text(value: Any) -> str:
    """Return a value of an answer as people read it: a list or an object without brackets."""
    if isinstance(value, list | tuple):
        return ", ".join(map(value_text, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {value_text(one)}" for key, one in value.items()) or "none"
    return "none" if value is None else str(value)


def page(name: str, status: int = 200, *, script: str = "", **values: Any) -> HTMLResponse:
    """Return the page of a template; it loads nothing but its style and script.

    Args:
        name: of the template, without `.html`.
        script: the path of the page's script; most have none, and may run none.
        values: what the template shows.
    """
    text = _templates().get_template(f"{name}.html").render(page_name=name, script=script, **values)
    policy = _POLICY + ("; script-src 'self'; connect-src 'self'" if script else "")
    headers = {STRICTER.decode(): policy, "cache-control": "no-store"}
    return HTMLResponse(text, status, headers)
