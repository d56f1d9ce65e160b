"""Read the forms of pages: only those that a page of this door sent, by the visitor's browser."""

from __future__ import annotations

from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from hmac import compare_digest
from typing import cast

from starlette.requests import Request

from factory_assets.web.door.bodies import read_form
from factory_assets.web.door.login import form_token

_PARTS = 20
"""Fields of a form with a file."""


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
    """Return the fields of a form with files; none if it is damaged or has too many."""
    # The standard library reads the same format in mail: RFC 7578 stands on RFC 2046.
    head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    fields: dict[str, str] = {}
    for number, part in enumerate(message.iter_parts() if message.is_multipart() else ()):
        name = part.get_param("name", header="content-disposition")
        if number >= _PARTS or not isinstance(name, str):
            return {}
        content = cast(bytes, part.get_payload(decode=True) or b"")
        fields[name] = content.decode("utf-8", "replace")
    return fields
