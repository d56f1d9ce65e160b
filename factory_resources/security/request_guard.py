"""ASGI middleware before every web page: refuse foreign requests, and limit what pages may load.

Dagster's web server runs GraphQL mutations for any Host and Origin, also by GET, so that a picture
on a foreign page could launch a run. Who makes a request is decided in `factory_assets.web.door`.
"""

import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, Literal

Message = MutableMapping[str, Any]

Receive = Callable[[], Awaitable[Message]]

Send = Callable[[Message], Awaitable[None]]

App = Callable[[Message, Receive, Send], Awaitable[None]]

GuardReason = Literal["malformed request", "unknown host", "another site"]

POLICY = "default-src 'self' 'unsafe-inline' data: blob:; object-src 'none'; base-uri 'none'; "
POLICY += "form-action 'self'; frame-ancestors 'none'"

_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    # With `no-referrer` browsers would hide the origin of the factory's own forms, too.
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

_TLS_HEADER = (b"strict-transport-security", b"max-age=31536000")

_TLS_SCHEMES = {"http": "https", "websocket": "wss"}

_OWN_HEADERS = frozenset(name for name, _ in _HEADERS) | {b"content-security-policy-report-only"}

_ONCE = ("host", "origin", "content-length", "cookie")

_HOST = re.compile(r"(\[(?P<address>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(:[0-9]{1,5})?")

_PATH = re.compile(rb"/(?!/)[^\x00-\x20\\\x7f]*")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})

_READS = frozenset({"GET", "HEAD"})

_LOOPBACK = ("127.0.0.1", "localhost", "::1")

_LONGEST = 300
"""Characters of headers that a refusal repeats."""


class Guard:
    """Refuses foreign hosts, cross-site writes and GraphQL by GET; sets the page's policy.

    Args:
        app: the guarded application.
        hosts: the host names, without port, by which this machine may be addressed.
        secure: whether browsers come by TLS, to which they then stay.
        refused: called with each refusal.
    """

    def __init__(
        self,
        app: App,
        hosts: Collection[str] = _LOOPBACK,
        *,
        secure: bool = False,
        refused: Callable[[GuardReason, Message], None] = lambda reason, scope: None,
    ) -> None:
        self._app, self._refused = app, refused
        self._hosts = frozenset(host.lower() for host in hosts)
        self._headers = (*_HEADERS, _TLS_HEADER) if secure else _HEADERS
        self._secure = secure

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif refusal := self._refusal(scope):
            self._refused(refusal[0], scope)
            await self._refuse(scope, send, refusal[1])
        else:
            if self._secure:
                # Behind a proxy, the connection does not tell it, and redirections would lead away.
                scope = {**scope, "scheme": _TLS_SCHEMES[scope["type"]]}
            await self._app(scope, receive, self._with_policy(send))

    def _refusal(self, scope: Message) -> tuple[GuardReason, str] | None:
        pairs = [
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in scope["headers"]
        ]
        names = [name for name, _ in pairs]
        # The guard and the application must not each believe another one.
        if repeated := next((name for name in _ONCE if names.count(name) > 1), None):
            return "malformed request", f"two {repeated} headers"
        if "content-length" in names and "transfer-encoding" in names:
            return "malformed request", "two lengths of the body"
        if scope["type"] == "http" and scope["method"] not in _METHODS:
            return "malformed request", "unknown method"
        if not _PATH.fullmatch(scope.get("raw_path") or scope["path"].encode()):
            return "malformed request", "malformed path"
        headers = dict(pairs)
        host = headers.get("host", "")
        name = (host_name(host) or "").lower()
        if name not in self._hosts:
            return "unknown host", "unknown host"
        origin = headers.get("origin")
        scheme, _, site = (origin or "").partition("://")
        # Where browsers come by TLS, whoever is on the way can send them a page without it.
        is_plain = self._secure and scheme == "http" and name not in _LOOPBACK
        foreign = origin is not None and (site != host or is_plain)
        reads = scope["type"] == "http" and scope["method"] in _READS
        if foreign and not reads:
            # A proxy that changes the Host, such as by leaving out the port, does this as well.
            said = f"by Origin {origin}, while Host is {host}"
            return "another site", f"request from another site, {said[:_LONGEST]}"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not reads:
            return "another site", "request from another site"
        graphql = scope["path"].rstrip("/").endswith("/graphql")
        # Any parameters: a name can be encoded in many ways, and the query page needs none.
        if reads and graphql and scope.get("query_string"):
            return "another site", "GraphQL by GET"
        return None

    async def _refuse(self, scope: Message, send: Send, reason: str) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403})
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8"), *self._headers]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": f"refused: {reason}\n".encode()})

    def _with_policy(self, send: Send) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", ())
                own = {name: value for name, value in given if name == STRICTER}
                others = [
                    pair
                    for pair in given
                    if pair[0].lower() not in _OWN_HEADERS and pair[0] != STRICTER
                ]
                policy = own.get(STRICTER)
                headers = [
                    (name, policy if policy and name == b"content-security-policy" else value)
                    for name, value in self._headers
                ]
                message = {**message, "headers": [*others, *headers]}
            await send(message)

        return guarded


STRICTER = b"factory-policy"
"""A header by which an application behind the guard names a policy for its page, in place of the
general one; it does not leave the guard."""


def host_name(host: str) -> str | None:
    """Return the name in a Host header; None if anything but a name and a port is there."""
    match = _HOST.fullmatch(host)
    return match and (match["address"] or match["name"])
