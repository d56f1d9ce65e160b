"""ASGI middleware before every web page: which requests are accepted, and what a page may load.

Dagster's web server runs GraphQL mutations for any Host and Origin, also by GET, so that a picture
on a foreign page could launch a run.
"""

import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]

Receive = Callable[[], Awaitable[Message]]

Send = Callable[[Message], Awaitable[None]]

App = Callable[[Message, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'self' 'unsafe-inline' data: blob:; connect-src 'self' ws://127.0.0.1:* "
    "ws://localhost:*; "
    "frame-ancestors 'none'"
)

_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)

_OWN_HEADERS = frozenset(name for name, _ in _HEADERS) | {b"content-security-policy-report-only"}

_ONCE = ("host", "origin")

_HOST = re.compile(r"(\[(?P<address>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(:[0-9]{1,5})?")


class Guard:
    """Refuses foreign hosts, cross-site writes and GraphQL by GET; sets the page's policy.

    Args:
        app: the guarded application.
        hosts: the host names, without port, by which this machine may be addressed.
    """

    def __init__(
        self, app: App, hosts: Collection[str] = ("127.0.0.1", "localhost", "::1")
    ) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif reason := self._refusal(scope):
            await _refuse(scope, send, reason)
        else:
            await self._app(scope, receive, _with_policy(send))

    def _refusal(self, scope: Message) -> str | None:
        pairs = [
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in scope["headers"]
        ]
        names = [name for name, _ in pairs]
        # The guard and the application must not each believe another one.
        if repeated := next((name for name in _ONCE if names.count(name) > 1), None):
            return f"two {repeated} headers"
        headers = dict(pairs)
        host = headers.get("host", "")
        if host_name(host) not in self._hosts:
            return "unknown host"
        origin = headers.get("origin")
        foreign = (origin is not None and origin.partition("://")[2] != host) or headers.get(
            "sec-fetch-site"
        ) in ("cross-site", "same-site")
        reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD", "OPTIONS")
        if foreign and not reads:
            return "request from another site"
        graphql = scope["path"].rstrip("/").endswith("/graphql")
        # Any parameters: a name can be encoded in many ways, and the query page needs none.
        if reads and graphql and scope.get("query_string"):
            return "GraphQL by GET"
        return None


def host_name(host: str) -> str | None:
    """Return the name in a Host header; None if anything but a name and a port is there."""
    match = _HOST.fullmatch(host)
    return match and (match["address"] or match["name"])


async def _refuse(scope: Message, send: Send, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4403})
        return
    headers = [(b"content-type", b"text/plain"), *_HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": f"refused: {reason}\n".encode()})


def _with_policy(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            others = [h for h in message["headers"] if h[0].lower() not in _OWN_HEADERS]
            message = {**message, "headers": [*others, *_HEADERS]}
        await send(message)

    return guarded
