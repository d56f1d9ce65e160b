"""Who may ask: own users, tokens, their limits, and which sites a browser may come from.

Making tokens belongs in `factory_resources.security.tokens`, finding out who opened a connection in
`factory_resources.security.peer_user`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import ceil

from factory_assets.serving.http.errors import HttpError
from factory_assets.serving.http.limits import RateLimit
from factory_resources.security.peer_user import Peer
from factory_resources.security.request_guard import host_name
from factory_resources.security.tokens import Token, Tokens

_OPEN = ("/healthz", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready")
"""What a load balancer asks without a token."""


@dataclass(frozen=True)
class PageReader:
    """Who may read pages, and about which pipelines."""

    token: Token | None
    """None for who needs none, and may read about all."""

    def may_read(self, pipeline: str) -> bool:
        """Return whether pages may tell of a pipeline."""
        return self.token is None or self.token.may_call(pipeline)

    def require(self, pipeline: str) -> None:
        """Refuse what is about a pipeline of others.

        Raises:
            HttpError: status 403.
        """
        if self.token is not None:
            _require_may_call(self.token, pipeline, repr(pipeline))


class Access:
    """Decides about each request.

    Args:
        hosts: the names by which the server may be addressed; empty for any, as with a token that a
            page of another site does not have.
        required: whether everybody needs a token, although there is none.
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        hosts: Collection[str],
        required: bool,
    ) -> None:
        self._tokens, self._hosts, self._required = tokens, frozenset(hosts), required
        self._rates: dict[str, RateLimit] = {}

    def require_origin(self, headers: dict[bytes, bytes]) -> None:
        """Refuse a page of another site, and a name that this machine does not have.

        Raises:
            HttpError: status 403.
        """
        host = headers.get(b"host", b"").decode("latin-1")
        if self._hosts and (host_name(host) or "").lower() not in self._hosts:
            raise HttpError(403, "forbidden", "unknown host", "use the address of the server")
        origin = headers.get(b"origin")
        if origin is not None and origin.partition(b"://")[2] != host.encode("latin-1"):
            raise HttpError(403, "forbidden", "a request from the page of another site")

    def caller(
        self, headers: dict[bytes, bytes], pipeline: str, peer: Peer, *, is_named: bool = True
    ) -> str:
        """Return the name of the caller, "" if no token is needed.

        Args:
            is_named: whether the request names the pipeline; else a refusal does not, either.

        Raises:
            HttpError: there is no valid token, it is not for this pipeline, or used too often.
        """
        if self._is_open_to(peer):
            return ""
        token = self._token(headers)
        _require_may_call(token, pipeline, repr(pipeline) if is_named else "what is served")
        self._require_rate(token)
        return token.name

    def token(self, headers: dict[bytes, bytes], peer: Peer) -> Token | None:
        """Return the token of a request that names no pipeline; None if none is needed.

        Raises:
            HttpError: there is no valid token, or it is used too often.
        """
        if self._is_open_to(peer):
            return None
        token = self._token(headers)
        self._require_rate(token)
        return token

    def recognize(self, path: str, headers: dict[bytes, bytes], peer: Peer) -> PageReader | None:
        """Return who may read pages; None for all others, who may ask only whether it is healthy.

        Raises:
            HttpError: status 401, the page needs a valid token; or 429, it is used too often.
        """
        if path in _OPEN and not self._is_open_to(peer):
            token = self._shown(headers)
            return PageReader(token) if token else None
        return PageReader(self.token(headers, peer))

    def _is_open_to(self, peer: Peer) -> bool:
        return not self._required and not self._tokens.required and peer.is_own

    def _require_rate(self, token: Token) -> None:
        if token.rate is None:
            return
        limit = self._rates.setdefault(token.sha256, RateLimit(token.rate))
        if wait := limit.take():
            raise HttpError(
                429,
                "overload",
                f"{token.name!r} may ask {token.rate:g} times a second",
                "try again",
                retry=ceil(wait),
            )

    def _token(self, headers: dict[bytes, bytes]) -> Token:
        if token := self._shown(headers):
            return token
        what = "there is no valid token in the header Authorization"
        if not self._required and not self._tokens.required:
            what = "whoever is not the user of the server, or cannot be recognized, needs a token"
        remedy = "send `Authorization: Bearer ...`; `factory token new` makes one"
        raise HttpError(401, "unauthorized", what, remedy)

    def _shown(self, headers: dict[bytes, bytes]) -> Token | None:
        scheme, _, text = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        return self._tokens.find(text.strip().decode("latin-1"))


def _require_may_call(token: Token, pipeline: str, shown: str) -> None:
    if not token.may_call(pipeline):
        raise HttpError(403, "forbidden", f"the token of {token.name!r} is not for {shown}")
