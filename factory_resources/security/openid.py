"""Ask an identity provider who somebody is: OpenID Connect, by authorization code with PKCE.

What the browser sees, and whom the answer lets in, is decided in `factory_assets.web.door`; needs
the extra `oidc`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet
from joserfc.jws import JWSRegistry
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from factory_resources.errors import IdentityProviderError, RefusedError
from factory_resources.security.one_server import OneServerTransport
from factory_resources.security.sessions import hash_of

T = TypeVar("T")

VALID = 300
"""Seconds within which somebody must have come back from the provider."""

_SECONDS = 10.0
"""Within which the provider must have answered all that is asked at once."""

_MOST = 256 << 10
"""Bytes of an answer."""

_LEEWAY = 60
"""Seconds by which the provider's clock may differ."""

_ATTEMPTS = 10_000
"""Attempts that wait; of more, the oldest are forgotten."""

_ALGORITHMS = ("RS256", "ES256")
"""Public keys only: `none` signs nothing, and HS256 would take a public key for a secret."""

_SCOPES = {"preferred_username": "openid profile", "email": "openid email", "sub": "openid"}

_WELL_KNOWN = "/.well-known/openid-configuration"


class ProviderDocument(BaseModel):
    """What a provider says of itself: OpenID Connect Discovery 1.0, section 3."""

    model_config = ConfigDict(frozen=True, strict=True)

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: list[str] = Field(default=["client_secret_basic"])
    authorization_response_iss_parameter_supported: bool = False


@dataclass(frozen=True)
class Attempt:
    """A login that was begun, and waits for the browser to come back."""

    url: str
    """Where the browser goes."""
    document: ProviderDocument
    state: str
    nonce: str
    verifier: str
    """PKCE's secret (RFC 7636), whose hash is in the URL."""


@dataclass(frozen=True)
class Provider:
    """An identity provider, and as what it knows the factory.

    Its host is asked only when somebody logs in, and no other host is asked.
    """

    issuer: str
    client: str
    secret: Callable[[], str]
    """Returns the client's secret."""
    claim: str
    """`preferred_username`, `email` or `sub`."""
    redirect_uri: str

    async def begin(self) -> Attempt:
        """Return where a browser goes to log in.

        Raises:
            IdentityProviderError: the provider cannot be asked, or is not the declared one.
        """

        async def ask(client: AsyncOAuth2Client) -> Attempt:
            document = await self._read_document(client)
            state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
            url, _ = client.create_authorization_url(
                document.authorization_endpoint, state=state, nonce=nonce, code_verifier=verifier
            )
            return Attempt(url, document, state, nonce, verifier)

        return await self._ask(ask)

    async def finish(self, attempt: Attempt, code: str, issuer: str | None) -> str:
        """Return what the provider calls the person who comes back with a code.

        Args:
            issuer: the parameter `iss` of the address to which the person came back (RFC 9207).

        Raises:
            RefusedError: the code or the ID token does not count.
            IdentityProviderError: the provider cannot be asked.
            SourceError: the client's secret is missing.
        """
        is_named = attempt.document.authorization_response_iss_parameter_supported
        if issuer != self.issuer and (is_named or issuer is not None):
            raise self._refused("the answer is that of another provider")
        secret = self.secret()

        async def ask(client: AsyncOAuth2Client) -> tuple[Mapping[str, Any], KeySet]:
            token = await self._redeem(client, attempt, code, secret)
            return token, await self._read_keys(client, attempt.document)

        token, keys = await self._ask(ask)
        return self._name_in(self._claims(token, keys, attempt.nonce))

    async def _read_document(self, client: AsyncOAuth2Client) -> ProviderDocument:
        url = self.issuer.rstrip("/") + _WELL_KNOWN
        try:
            document = ProviderDocument.model_validate(await self._read(client, url))
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise self._error(f"{_WELL_KNOWN} is wrong at {place!r}") from None
        if document.issuer != self.issuer:
            raise self._error(f"it calls itself {document.issuer[:200]!r}")
        # Only the browser goes there, hence to any host; the transport keeps the others here.
        is_safe = urlsplit(document.authorization_endpoint).scheme == "https"
        if not is_safe and self.issuer.startswith("https:"):
            raise self._error("its authorization_endpoint is not https")
        return document

    async def _redeem(
        self, client: AsyncOAuth2Client, attempt: Attempt, code: str, secret: str
    ) -> Mapping[str, Any]:
        if "client_secret_basic" in attempt.document.token_endpoint_auth_methods_supported:
            # Both are encoded as in a form: RFC 6749, section 2.3.1.
            auth = httpx2.BasicAuth(quote_plus(self.client), quote_plus(secret))
        else:
            auth = client.client_auth_class(self.client, secret, "client_secret_post")
        try:
            token: Mapping[str, Any] = await client.fetch_token(
                attempt.document.token_endpoint,
                grant_type="authorization_code",
                code=code,
                code_verifier=attempt.verifier,
                auth=auth,
            )
        except OAuthError as error:
            if error.error == "invalid_grant":
                raise self._refused("the provider refuses the code") from None
            what = f"it refuses the factory's request ({str(error.error)[:40]})"
            raise self._error(what, "check client and secret in factory.yaml") from None
        return token

    async def _read_keys(self, client: AsyncOAuth2Client, document: ProviderDocument) -> KeySet:
        answer = await self._read(client, document.jwks_uri)
        named = answer.get("keys") if isinstance(answer, dict) else None
        keys = [key for one in named for key in _read_key(one)] if isinstance(named, list) else []
        if not keys:
            raise self._error("its keys cannot be read")
        return KeySet(keys)

    async def _read(self, client: AsyncOAuth2Client, url: str) -> Any:
        answer = await client.request("GET", url, withhold_token=True)
        if answer.status_code != 200:
            raise self._answered(answer)
        return answer.json()

    def _claims(self, token: Mapping[str, Any], keys: KeySet, nonce: str) -> Mapping[str, Any]:
        """Return the claims of an ID token that counts: OpenID Connect Core, section 3.1.3.7."""
        options = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": self.client},
        }
        known: dict[str, Any] = {"nonce": nonce, "client_id": self.client}
        registry = JWSRegistry(algorithms=_ALGORITHMS, strict_check_header=False)
        try:
            read = jwt.decode(token["id_token"], keys, registry=registry)
            known["access_token"] = token.get("access_token")
            claims: dict[str, Any] = CodeIDToken(read.claims, read.header, options, known)
            claims.validate(leeway=_LEEWAY)  # type: ignore[attr-defined]
        except JoseError as error:
            raise self._refused(f"the ID token does not count ({error})") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise self._refused("the ID token does not count") from None
        return claims

    def _name_in(self, claims: Mapping[str, Any]) -> str:
        name = claims.get(self.claim)
        if not isinstance(name, str) or not name:
            raise self._refused(f"the ID token has no claim {self.claim}")
        # Whoever may enter any address at the provider would be anybody here.
        if self.claim == "email" and claims.get("email_verified") is not True:
            raise self._refused("the provider has not verified the e-mail address")
        return name

    async def _ask(self, ask: Callable[[AsyncOAuth2Client], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(_SECONDS), self._client() as client:
                return await ask(client)
        except TimeoutError:
            raise self._error(f"it did not answer within {_SECONDS:g} seconds") from None
        except httpx2.HTTPStatusError as error:
            raise self._answered(error.response) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            what = f"it cannot be reached ({str(error) or type(error).__name__})"
            raise self._error(what, "check the issuer in factory.yaml, and the network") from None
        except (ValueError, RecursionError):
            raise self._error("its answer cannot be read") from None

    def _client(self) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self.client,
            scope=_SCOPES[self.claim],
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
            transport=OneServerTransport(self.issuer, _MOST),
            timeout=_SECONDS,
            trust_env=False,
        )

    def _answered(self, answer: httpx2.Response) -> IdentityProviderError:
        return self._error(f"{answer.url.path} answered {answer.status_code}")

    def _error(
        self, what: str, remedy: str = "check the issuer in factory.yaml"
    ) -> IdentityProviderError:
        return IdentityProviderError(what, where=self.issuer, remedy=remedy)

    def _refused(self, what: str) -> RefusedError:
        return RefusedError(what, where=self.issuer, remedy="log in again")


def _read_key(key: Any) -> Sequence[Key]:
    """Return a key of a provider; none if it is of a kind that nobody here understands.

    Those are ignored, so that a provider may add some (RFC 7517, section 5).
    """
    try:
        return KeySet.import_key_set({"keys": [key]}).keys
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        return ()


class Attempts:
    """The attempts of one process, each known to the one browser that began it."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, tuple[Attempt, str, float]] = OrderedDict()

    def add(self, attempt: Attempt, after: str) -> str:
        """Keep an attempt; return the text that its browser brings back in a cookie.

        Args:
            after: the path to which it leads.
        """
        text = secrets.token_urlsafe(32)
        self._waiting[hash_of(text)] = attempt, after, time.monotonic() + VALID
        while len(self._waiting) > _ATTEMPTS:
            self._waiting.popitem(last=False)
        return text

    def take(self, text: str, state: str) -> tuple[Attempt, str] | None:
        """Return the attempt of this browser and state, and where it leads; never again."""
        key = hash_of(text)
        attempt, after, until = self._waiting.get(key, (None, "", 0.0))
        if attempt is None or not compare_digest(attempt.state.encode(), state.encode()):
            return None
        del self._waiting[key]
        return (attempt, after) if time.monotonic() < until else None
