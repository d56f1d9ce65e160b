"""An identity provider on loopback: it checks the factory's requests as a real one does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.loopback_servers import served_app

CLIENT, SECRET = "factory", "s3cret of the factory: +&%"

Claims = dict[str, Any]


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@cache
def _rsa_key(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig"})


class IdentityProvider:
    """One person is logged in there; a test may make it lie.

    Attributes:
        person: what it says of that person.
        forge: changes the claims of the next tokens.
        sign: makes a token of claims.
        document: what it says of itself otherwise than it should.
        answers: by path, what is answered in place of the truth.
        asked: the paths that were asked, in order.
    """

    def __init__(self, port: int) -> None:
        self.port, self.issuer = port, f"http://127.0.0.1:{port}"
        self.key = _rsa_key("one")
        self.elliptic = ECKey.generate_key("P-256", {"kid": "two", "use": "sig"})
        self.person: Claims = {"sub": "4711", "preferred_username": "jane"}
        self.forge: Callable[[Claims], Claims] = lambda claims: claims
        self.sign: Callable[[Claims], str] = self.sign_rsa
        self.document: Claims = {}
        self.answers: dict[str, Callable[[], Response]] = {}
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}

    def sign_rsa(self, claims: Claims) -> str:
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)

    def sign_elliptic(self, claims: Claims) -> str:
        return jwt.encode({"alg": "ES256", "kid": "two"}, claims, self.elliptic)

    def sign_not(self, claims: Claims) -> str:
        header = _base64url(json.dumps({"alg": "none", "kid": "one"}).encode())
        return f"{header}.{_base64url(json.dumps(claims).encode())}."

    def sign_with_public_key(self, claims: Claims) -> str:
        header = _base64url(json.dumps({"alg": "HS256", "kid": "one"}).encode())
        signed = f"{header}.{_base64url(json.dumps(claims).encode())}"
        public = self.key.as_pem(private=False)
        return f"{signed}.{_base64url(hmac.digest(public, signed.encode(), 'sha256'))}"

    def sign_with_other_key(self, claims: Claims) -> str:
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, _rsa_key("other"))

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._asked(self._document)),
                Route("/authorize", self._asked(self._authorize)),
                Route("/token", self._asked(self._token), methods=["POST"]),
                Route("/keys", self._asked(self._keys)),
            ]
        )

    def _asked(self, answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            self.asked.append(request.url.path)
            if request.url.path in self.answers:
                return self.answers[request.url.path]()
            response: Response = await answer(request)
            return response

        return endpoint

    async def _document(self, _: Request) -> Response:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        return JSONResponse(document | self.document)

    async def _authorize(self, request: Request) -> Response:
        given = dict(request.query_params)
        assert given["client_id"] == CLIENT
        assert given["response_type"] == "code"
        assert given["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self._codes[code] = given
        back = urlencode({"code": code, "state": given["state"]})
        return RedirectResponse(f"{given['redirect_uri']}?{back}", 302)

    async def _token(self, request: Request) -> Response:
        fields = parse_qsl((await request.body()).decode())
        form = dict(fields)
        assert len(form) == len(fields), "a field stands twice"
        if not self._is_factory(request, form):
            return JSONResponse({"error": "invalid_client"}, 401)
        begun = self._codes.pop(form["code"], None)
        challenge = _base64url(hashlib.sha256(form["code_verifier"].encode()).digest())
        if (
            begun is None
            or begun["code_challenge"] != challenge
            or begun["redirect_uri"] != form["redirect_uri"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300}
        claims = self.forge({**claims, "nonce": begun["nonce"], **self.person})
        answer = {"access_token": "a", "token_type": "Bearer", "id_token": self.sign(claims)}
        return JSONResponse(answer)

    def _is_factory(self, request: Request, form: dict[str, str]) -> bool:
        header = request.headers.get("authorization", "")
        if self.document.get("token_endpoint_auth_methods_supported") == ["client_secret_post"]:
            return not header and (form["client_id"], form["client_secret"]) == (CLIENT, SECRET)
        text = base64.b64decode(header.removeprefix("Basic ")).decode()
        return tuple(map(unquote_plus, text.split(":"))) == (CLIENT, SECRET)

    async def _keys(self, _: Request) -> Response:
        keys = [key.as_dict(private=False) for key in (self.key, self.elliptic)]
        return JSONResponse({"keys": keys})


def endless() -> Response:
    """Return an answer that does not end."""

    async def parts() -> Any:
        while True:
            yield b" " * 65_536
            await asyncio.sleep(0)

    return StreamingResponse(parts(), media_type="application/json")


@contextmanager
def running_provider() -> Iterator[IdentityProvider]:
    """Serve a provider on loopback."""
    door = socket.create_server(("127.0.0.1", 0))
    provider = IdentityProvider(door.getsockname()[1])
    with served_app(provider.app(), door):
        yield provider
