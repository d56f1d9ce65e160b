"""One HTTP request to a model: who asks, how, and for what.

Which protocol reads its body is decided in `app`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs

from factory_assets.serving.http.errors import HttpError, malformed
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.online.served_model import ServedModel
from factory_resources.security.request_guard import Message, Receive

Protocol = Literal["plain", "oip", "mlflow"]

Role = Literal["champion", "challenger"]


@dataclass(slots=True)
class Call:
    """A request to one version of a model."""

    served: ServedModel
    protocol: Protocol
    caller: str
    """The name of the token, or "" if none is needed."""
    headers: dict[bytes, bytes]
    query: dict[str, str]
    body: bytes
    started: float = field(default_factory=time.perf_counter)
    role: Role = "champion"
    answer: bytes = b""
    """The id of the answer, once there is one."""
    seconds: float = 0.0
    """How long the version has computed; waiting for others does not count."""

    @property
    def about(self) -> tuple[str, str, str]:
        """Return pipeline, version and role, as the metrics name them."""
        return self.served.pipeline, str(self.served.version), self.role

    def require_parameters(self, known: Set[str]) -> None:
        """Require that the address has no other parameters.

        Raises:
            HttpError: it has one, such as a misspelt one.
        """
        if unknown := sorted(self.query.keys() - known):
            what = f"parameter {unknown[0][:40]!r} is unknown"
            raise malformed(what, f"valid: {', '.join(sorted(known))}")

    def flag(self, name: str) -> bool:
        """Return a yes-or-no parameter of the address.

        Raises:
            HttpError: it is neither.
        """
        value = self.query.get(name, "false").lower()
        if value not in {"true", "false", "1", "0", ""}:
            raise malformed(f"parameter {name}={value!r} is not true or false", "write true")
        return value in {"true", "1", ""}


def query_of(scope: Message) -> dict[str, str]:
    """Return the parameters of the address; of a repeated one, the last."""
    text = scope["query_string"]
    if not text:
        return {}
    try:
        parsed = parse_qs(text.decode("ascii"), keep_blank_values=True, max_num_fields=20)
    except ValueError as error:
        raise malformed("the parameters of the address cannot be read", "write ?name=true") from (
            error
        )
    return {name: values[-1] for name, values in parsed.items()}


async def read_body(receive: Receive, headers: dict[bytes, bytes], limits: Limits) -> bytes:
    """Return the body of a request.

    Raises:
        HttpError: it is too large, too slow, or the caller went away.
    """
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise HttpError(415, "malformed", "the body is compressed", "send it without compression")
    if b"upgrade" in headers and b"upgrade" in headers.get(b"connection", b"").lower():
        # The parser takes what follows the headers for the other protocol.
        raise malformed(
            "the request asks for another protocol, so that its body was not read",
            "send it as HTTP/1.1, without the header Upgrade",
        )
    parts, size, more = list[bytes](), 0, True
    try:
        async with asyncio.timeout(limits.seconds):
            while more:
                message = await receive()
                part = _part(message)
                size += len(part)
                if size <= limits.body:
                    parts.append(part)
                elif size > limits.refused_body:
                    break
                more = bool(message.get("more_body"))
    except TimeoutError as error:
        raise HttpError(
            408, "timeout", f"the body did not arrive within {limits.seconds:g} s", "send it again"
        ) from error
    if size > limits.body:
        what = f"the body has more than {limits.body:,} bytes"
        raise HttpError(413, "too_large", what, "send fewer rows at once")
    return b"".join(parts)


def _part(message: Message) -> bytes:
    if message["type"] != "http.request":
        raise HttpError(400, "malformed", "the caller went away")
    body: bytes = message.get("body", b"")
    return body
