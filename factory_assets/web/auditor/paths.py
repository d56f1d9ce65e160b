"""The addresses of the auditor's pages."""

from __future__ import annotations

import re
from urllib.parse import quote

OWN = frozenset({"search", "verify", "entries", "answers", "files", "checkpoint"})
"""Pages whose names a pipeline could have: such a pipeline is below `/audit/-/`."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""The name of a pipeline."""

MOST = 999_999_999
"""No version is larger."""


def pipeline_path(pipeline: str, version: int | None = None) -> str:
    """Return the address of the page of a pipeline, or of one of its versions."""
    base = "/audit/-" if pipeline in OWN else "/audit"
    return f"{base}/{quote(pipeline, safe='')}{'' if version is None else f'/{version}'}"
