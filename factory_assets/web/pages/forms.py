"""Read the forms of pages: only those that a page of this door sent, by the visitor's browser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hmac import compare_digest

from starlette.requests import Request

from factory_assets.web.door.bodies import read_form
from factory_assets.web.door.login import form_token

_PARTS = 20
"""Fields of a form with a file."""

_HEAD = 4_096
"""Bytes of the headers of one of them."""

_BOUNDARY = re.compile(r";\s*boundary=\"?([0-9A-Za-z'()+_,./:=? -]{1,70})", re.IGNORECASE)

_NAME = re.compile(rb"\r\ncontent-disposition:[^\r\n]*?[; ]name=\"([^\"\r\n]*)\"", re.IGNORECASE)


class OtherSiteError(Exception):
    """The form was not sent by a page of this door."""


@dataclass(frozen=True)
class Forms:
    """The forms of one door."""

    cookie: str
    """The name of the cookie with the session."""

    def token(self, request: Request) -> str:
        """Return what every form of a page for this request has."""
        return form_token(request.cookies.get(self.cookie, ""))

    async def read(self, request: Request) -> dict[str, str]:
        """Return the fields of a form, those of files too.

        Raises:
            OtherSiteError: its token is missing or wrong.
        """
        kind = request.headers.get("content-type", "")
        is_multipart = kind.lower().startswith("multipart/form-data")
        fields = (
            _multipart(kind, await request.body()) if is_multipart else await read_form(request)
        )
        if not compare_digest(self.token(request).encode(), fields.get("form_token", "").encode()):
            raise OtherSiteError
        return fields


def _multipart(kind: str, body: bytes) -> dict[str, str]:
    """Return the fields of a form with files (RFC 7578); none if it is damaged or has too many.

    Not by the standard library, which reads mail: a header or many parts can cost it gigabytes or
    minutes, and each of these bytes comes from whoever is logged in.
    """
    found = _BOUNDARY.search(kind)
    if found is None:
        return {}
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + found[1].encode(), _PARTS + 1)
    fields: dict[str, str] = {}
    for part in parts:
        if part.startswith(b"--"):
            return fields
        head, divider, content = part.partition(b"\r\n\r\n")
        name = _NAME.search(head) if len(head) <= _HEAD else None
        if name is None or not divider:
            return {}
        fields[name[1].decode("utf-8", "replace")] = content.decode("utf-8", "replace")
    return {}
