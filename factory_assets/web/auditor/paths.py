"""The addresses of the auditor's pages."""

from __future__ import annotations

import re
from urllib.parse import quote, urlencode

from factory_resources.sources.files.archives import member_of

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


def source_path(sha256: str, name: str, **asked: int) -> str:
    """Return the address of the page of a source.

    Args:
        name: of the source; the members of a zip have their digest in common.
        asked: the row or the line that is asked for.
    """
    member = member_of(name)
    query = urlencode({**({"member": member} if member else {}), **asked})
    return f"/audit/files/{sha256}{'?' if query else ''}{query}"
