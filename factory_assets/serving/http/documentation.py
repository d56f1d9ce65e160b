"""The page at `/docs`: what can be asked, from the contracts. It loads nothing from anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from factory_assets.serving.http.openapi import example, row_schema
from factory_assets.serving.online.served_model import ServedModel

_STYLE = """
body { font: 16px/1.5 sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid #ccc; padding: .3rem .6rem; text-align: left }
pre { background: #f4f4f4; padding: 1rem }
pre, .wide { overflow-x: auto }
@media (prefers-color-scheme: dark) {
  body { background: #111; color: #ddd } pre { background: #222 } a { color: #8bf }
}
"""


def page(served: Mapping[str, ServedModel], address: str, *, with_token: bool) -> str:
    """Return the page as HTML.

    Args:
        address: the one at which the page was asked for, such as `http://127.0.0.1:8080`.
        with_token: whether who asks has a token, and needs it.
    """
    header = ' -H "authorization: Bearer $TOKEN"' if with_token else ""
    called = f"curl{header} {address}/predict/"
    sections = "".join(_section(name, model, called) for name, model in sorted(served.items()))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Predictions</title><style>{_STYLE}</style></head><body>"
        "<h1>Predictions of this factory</h1>"
        '<p>Programs read the same as <a href="/openapi.json">OpenAPI</a>. The Open Inference '
        "Protocol answers at <code>/v2/models/{pipeline}/infer</code>, MLflow's protocol at "
        "<code>/models/{pipeline}/invocations</code>. Every answer has an id, by which "
        "<code>factory trace</code> finds it. Send what turned out to be true to "
        '<code>/feedback</code>: <code>{"id": "...", "outcome": ...}</code>.</p>'
        f"{sections or '<p>No pipeline serves.</p>'}</body></html>"
    )


def _section(name: str, model: ServedModel, called: str) -> str:
    schema = row_schema(model)["properties"]
    rows = "".join(_row(column, described) for column, described in schema.items())
    body = json.dumps(example(model), indent=1, ensure_ascii=False)
    command = f"{called}{name} \\\n  -H 'content-type: application/json' -d @row.json"
    back = model.looks_back
    note = (
        f"<p>Send the last rows of each <b>{escape(back.by)}</b>, ordered by "
        f"<b>{escape(back.order)}</b>; the prediction is for the last one.</p>"
        if back
        else ""
    )
    return (
        f"<h2>{escape(name)}, version {model.version}</h2>{note}"
        f"<pre>{escape(command)}</pre>"
        '<div class="wide" tabindex="0"><table>'
        "<tr><th>column</th><th>type</th><th>allowed</th><th>meaning</th></tr>"
        f"{rows}</table></div><p><code>row.json</code>, for example:</p><pre>{escape(body)}</pre>"
    )


def _row(name: str, schema: Mapping[str, Any]) -> str:
    kind = schema["type"]
    types = " or ".join(kind) if isinstance(kind, list) else kind
    cells = (name, types, _allowed(schema), schema.get("description", ""))
    return f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in cells)}</tr>"


def _allowed(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"] if value is not None)
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None or high is not None:
        return f"at least {low}" if high is None else f"at most {high}"
    return str(schema.get("pattern", ""))
