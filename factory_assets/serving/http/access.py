"""Who may ask: tokens, their limits, and which sites a browser may come from.

Making tokens belongs in `factory_resources.security.tokens`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import ceil
from typing import TYPE_CHECKING

from factory_assets.serving.http.errors import HttpError
from factory_assets.serving.http.limits import RateLimit
from factory_resources.security.request_guard import Message, host_name
from factory_resources.security.tokens import Token, Tokens

if TYPE_CHECKING:
    from factory_assets.serving.online.served_model import ServedModel
    from factory_resources.prediction_log.protection import Protection


_OPEN = ("/healthz", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready")
"""What a load balancer asks without a token."""


class Access:
    """Decides about each request.

    Args:
        hosts: the names by which the server may be addressed; empty for any.
        required: whether a token is needed although there is none.
        protect: returns what hides sensitive values of a model in the log.
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        hosts: Collection[str],
        required: bool,
        protect: Callable[[ServedModel], Protection | None],
    ) -> None:
        self._tokens, self._hosts, self._required = tokens, frozenset(hosts), required
        self._rates: dict[str, RateLimit] = {}
        self.protection = protect

    def require_origin(self, scope: Message, headers: dict[bytes, bytes]) -> None:
        """Refuse a page of another site, and a name that this machine does not have.

        Raises:
            HttpError: status 403.
        """
        host = headers.get(b"host", b"").decode("latin-1")
        if self._hosts and host_name(host) not in self._hosts:
            raise HttpError(403, "forbidden", "unknown host", "use the address of the server")
        origin = headers.get(b"origin")
        if origin is not None and origin.partition(b"://")[2] != host.encode("latin-1"):
            raise HttpError(403, "forbidden", "a request from the page of another site")

    def caller(self, headers: dict[bytes, bytes], pipeline: str) -> str:
        """Return the name of the caller, "" if no token is needed.

        Raises:
            HttpError: there is no valid token, it is not for this pipeline, or used too often.
        """
        if self._is_open:
            return ""
        token = self._token(headers)
        if not token.may_call(pipeline):
            raise HttpError(
                403, "forbidden", f"the token of {token.name!r} is not for {pipeline!r}"
            )
        self._require_rate(token)
        return token.name

    def token(self, headers: dict[bytes, bytes]) -> Token | None:
        """Return the token of a request that names no pipeline; None if none is needed.

        Raises:
            HttpError: there is no valid token, or it is used too often.
        """
        if self._is_open:
            return None
        token = self._token(headers)
        self._require_rate(token)
        return token

    @property
    def _is_open(self) -> bool:
        return not self._required and not self._tokens.any_valid

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

    def require_caller_for_page(self, path: str, headers: dict[bytes, bytes]) -> None:
        """Require a valid token for what is not a prediction, but for checks of health.

        Raises:
            HttpError: status 401.
        """
        if path in _OPEN or self._is_open:
            return
        self._token(headers)

    def _token(self, headers: dict[bytes, bytes]) -> Token:
        scheme, _, text = headers.get(b"authorization", b"").partition(b" ")
        token = None
        if scheme.lower() == b"bearer":
            token = self._tokens.find(text.strip().decode("latin-1"))
        if token is None:
            raise HttpError(
                401,
                "unauthorized",
                "there is no valid token in the header Authorization",
                "send `Authorization: Bearer ...`; factory token new makes one",
            )
        return token
