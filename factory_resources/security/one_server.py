"""HTTP to one declared server and no other, with answers of limited size.

What is asked belongs in the modules that ask, such as `openid`; needs the extra `oidc`.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import httpx2

from factory_resources.errors import IdentityProviderError


class OneServerTransport(httpx2.AsyncHTTPTransport):
    """Sends requests to one scheme, host and port; no proxy of the environment comes between.

    Certificates are checked against the system's, or `SSL_CERT_FILE`.

    Args:
        url: any address at the server.
        most: bytes of the body of an answer.

    Raises:
        IdentityProviderError: from requests, if they go elsewhere or the answer is too large.
    """

    def __init__(self, url: str, most: int) -> None:
        super().__init__(verify=ssl.create_default_context(), trust_env=False)
        self._origin, self._most = _origin(httpx2.URL(url)), most

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; the answer comes as it is on the wire, so that its bytes are known."""
        if _origin(request.url) != self._origin:
            raise IdentityProviderError(
                f"it names an address elsewhere, {request.url.netloc.decode()}",
                where=self._origin[1],
                remedy="its addresses must be those of the declared issuer's host",
            )
        request.headers["accept-encoding"] = "identity"
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.stream.aclose()
            raise self._too_large()
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Counted(response.stream, self._most, self._too_large()),
            extensions=response.extensions,
        )

    def _too_large(self) -> IdentityProviderError:
        return IdentityProviderError(
            f"it answered more than {self._most:,} bytes, or compressed ones",
            where=self._origin[1],
            remedy="check the issuer in factory.yaml",
        )


class _Counted(httpx2.AsyncByteStream):
    """A body of which no more than `most` bytes are read."""

    def __init__(self, stream: httpx2.AsyncByteStream, most: int, error: Exception) -> None:
        self._stream, self._left, self._error = stream, most, error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            self._left -= len(part)
            if self._left < 0:
                raise self._error
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
