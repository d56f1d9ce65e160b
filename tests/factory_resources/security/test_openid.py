"""Who somebody is, by a provider's word; and every word that does not count."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey
from starlette.responses import JSONResponse, Response, StreamingResponse

from factory_resources.errors import IdentityProviderError, RefusedError
from factory_resources.security import openid
from factory_resources.security.openid import Attempt, Attempts, Provider
from tests.identity_provider import (
    CLIENT,
    SECRET,
    Claims,
    IdentityProvider,
    endless,
    running_provider,
)
from tests.long_run import in_long

BACK = "http://127.0.0.1:3000/login/oidc"


@pytest.fixture
def there() -> Iterator[IdentityProvider]:
    with running_provider() as provider:
        yield provider


def _here(there: IdentityProvider, claim: str = "preferred_username") -> Provider:
    return Provider(there.issuer, CLIENT, lambda: SECRET, claim, BACK)


def _code(attempt: Attempt) -> str:
    """Go to the provider as a browser does, and return what it brings back."""
    location = httpx.get(attempt.url, trust_env=False).headers["location"]
    given = parse_qs(urlsplit(location).query)
    assert location.startswith(BACK)
    assert given["state"] == [attempt.state]
    return given["code"][0]


def _log_in(provider: Provider) -> str:
    async def both() -> str:
        attempt = await provider.begin()
        return await provider.finish(attempt, await asyncio.to_thread(_code, attempt), None)

    return asyncio.run(both())


@pytest.mark.parametrize("way", ["sign_rsa", "sign_elliptic"])
def test_a_person_is_named_by_the_declared_claim(there: IdentityProvider, way: str) -> None:
    there.sign = getattr(there, way)
    there.person |= {"email": "jane@example.org", "email_verified": True}
    assert _log_in(_here(there)) == "jane"
    assert _log_in(_here(there, "email")) == "jane@example.org"
    assert _log_in(_here(there, "sub")) == "4711"
    assert there.asked[:4] == ["/.well-known/openid-configuration", "/authorize", "/token", "/keys"]


@pytest.mark.parametrize(
    ("claim", "scope"),
    [
        ("preferred_username", "openid profile"),
        ("email", "openid email"),
        ("sub", "openid"),
    ],
)
def test_a_browser_asks_for_a_code_and_for_no_more_than_the_claim(
    there: IdentityProvider, claim: str, scope: str
) -> None:
    attempt = asyncio.run(_here(there, claim).begin())
    asked = {name: value for name, [value] in parse_qs(urlsplit(attempt.url).query).items()}
    assert asked.pop("code_challenge") not in ("", attempt.verifier)
    assert asked == {
        **{"response_type": "code", "client_id": CLIENT, "redirect_uri": BACK, "scope": scope},
        **{"state": attempt.state, "nonce": attempt.nonce, "code_challenge_method": "S256"},
    }


def test_the_secret_goes_where_the_provider_takes_it(there: IdentityProvider) -> None:
    there.document["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    assert _log_in(_here(there)) == "jane"


@pytest.mark.parametrize(
    ("way", "why"),
    [
        ("sign_with_other_key", "bad_signature"),
        ("sign_not", "Algorithm of 'none' is not allowed"),
        ("sign_with_public_key", "Algorithm of 'HS256' is not allowed"),
    ],
)
def test_a_token_that_the_provider_did_not_sign_does_not_count(
    there: IdentityProvider, way: str, why: str
) -> None:
    there.sign = getattr(there, way)
    with pytest.raises(RefusedError, match=why):
        _log_in(_here(there))


@pytest.mark.parametrize(
    ("forged", "why"),
    [
        ({"iss": "https://id.example"}, "'iss'"),
        ({"aud": "another"}, "'aud'"),
        ({"aud": [CLIENT, "another"]}, "'azp'"),
        ({"nonce": "of another login"}, "'nonce'"),
        ({"exp": timedelta(hours=-1)}, "expired"),
        ({"iat": timedelta(hours=1)}, "issued in the future"),
        ({"nbf": timedelta(hours=1)}, "not yet valid"),
        ({"sub": None}, "'sub'"),
        ({"at_hash": "of another token"}, "'at_hash'"),
        ({"preferred_username": None}, "no claim preferred_username"),
        ({"preferred_username": ""}, "no claim preferred_username"),
        *in_long(
            [
                ({"iss": None}, "'iss'"),
                ({"aud": []}, "'aud'"),
                ({"aud": [CLIENT, "another"], "azp": "another"}, "'azp'"),
                ({"azp": "another"}, "'azp'"),
                ({"nonce": None}, "'nonce'"),
                ({"exp": None}, "'exp'"),
                ({"exp": "never"}, "'exp'"),
                ({"iat": None}, "'iat'"),
                ({"preferred_username": ["jane"]}, "no claim preferred_username"),
            ]
        ),
    ],
    ids=str,
)
def test_a_token_about_something_else_does_not_count(
    there: IdentityProvider, forged: Claims, why: str
) -> None:
    now = int(time.time())
    changed = {
        name: now + value.total_seconds() if isinstance(value, timedelta) else value
        for name, value in forged.items()
    }
    there.forge = lambda claims: {
        name: value for name, value in (claims | changed).items() if value is not None
    }
    with pytest.raises(RefusedError, match=why):
        _log_in(_here(there))


@pytest.mark.parametrize(("claim", "seconds"), [("exp", -10), ("iat", 40), ("nbf", 40)])
def test_the_clock_of_the_provider_may_differ_a_little(
    there: IdentityProvider, claim: str, seconds: int
) -> None:
    there.forge = lambda claims: claims | {claim: int(time.time()) + seconds}
    assert _log_in(_here(there)) == "jane"


def test_several_audiences_count_if_the_factory_asked(there: IdentityProvider) -> None:
    there.forge = lambda claims: claims | {"aud": ["another", CLIENT], "azp": CLIENT}
    assert _log_in(_here(there)) == "jane"


@pytest.mark.parametrize("verified", [False, None, "true"])
def test_an_address_counts_only_if_the_provider_verified_it(
    there: IdentityProvider, verified: object
) -> None:
    there.person |= {"email": "jane@example.org", "email_verified": verified}
    with pytest.raises(RefusedError, match="has not verified the e-mail address"):
        _log_in(_here(there, "email"))


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "ä", 7, None, ["a"], {}])
def test_what_is_no_token_does_not_count(there: IdentityProvider, token: Any) -> None:
    there.sign = lambda _: token
    with pytest.raises(RefusedError, match="ID token does not count"):
        _log_in(_here(there))


def test_a_code_counts_once_and_for_its_own_attempt(there: IdentityProvider) -> None:
    provider = _here(there)

    async def twice() -> None:
        first, second = await provider.begin(), await provider.begin()
        code, other = _code(first), _code(second)
        assert await provider.finish(first, code, None) == "jane"
        with pytest.raises(RefusedError, match="refuses the code"):
            await provider.finish(first, code, None)
        with pytest.raises(RefusedError, match="refuses the code"):
            await provider.finish(first, other, None)  # PKCE's secret is that of the other one

    asyncio.run(twice())


@pytest.mark.parametrize(("promised", "given"), [(True, None), (False, "https://id.example")])
def test_the_answer_of_another_provider_does_not_count(
    there: IdentityProvider, promised: bool, given: str | None
) -> None:
    there.document["authorization_response_iss_parameter_supported"] = promised
    provider = _here(there)

    async def back() -> str:
        return await provider.finish(await provider.begin(), "any", given)

    with pytest.raises(RefusedError, match="that of another provider"):
        asyncio.run(back())
    assert "/token" not in there.asked


@pytest.mark.parametrize("promised", [True, False])
def test_the_answer_of_the_declared_provider_counts(
    there: IdentityProvider, promised: bool
) -> None:
    there.document["authorization_response_iss_parameter_supported"] = promised
    provider = _here(there)

    async def back() -> str:
        attempt = await provider.begin()
        return await provider.finish(attempt, _code(attempt), provider.issuer)

    assert asyncio.run(back()) == "jane"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"issuer": "https://id.example"}, "it calls itself 'https://id.example'"),
        ({"token_endpoint": None}, "wrong at 'token_endpoint'"),
        ({"token_endpoint": "http://127.0.0.1:1/token"}, "elsewhere, 127.0.0.1:1"),
        ({"jwks_uri": "http://localhost/keys"}, "elsewhere, localhost"),
        ({"jwks_uri": "file:///etc/passwd"}, "elsewhere"),
        ({"jwks_uri": "nonsense"}, "elsewhere|cannot be reached"),
    ],
    ids=str,
)
def test_only_the_declared_host_is_asked(there: IdentityProvider, said: Claims, why: str) -> None:
    there.document |= said
    with pytest.raises(IdentityProviderError, match=why):
        _log_in(_here(there))


def test_an_issuer_may_end_in_a_slash_which_belongs_to_its_name(there: IdentityProvider) -> None:
    issuer = f"{there.issuer}/"
    there.document |= {"issuer": issuer}
    there.forge = lambda claims: claims | {"iss": issuer}
    assert _log_in(replace(_here(there), issuer=issuer)) == "jane"
    with pytest.raises(IdentityProviderError, match="it calls itself"):
        _log_in(_here(there))


def test_nobody_is_sent_from_a_secure_provider_to_an_insecure_page(
    there: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = httpx.get(f"{there.issuer}/.well-known/openid-configuration", trust_env=False).json()

    async def read(*_: object) -> Claims:
        return {**said, "issuer": "https://id.example"}

    monkeypatch.setattr(Provider, "_read", read)
    with pytest.raises(IdentityProviderError, match="its authorization_endpoint is not https"):
        asyncio.run(replace(_here(there), issuer="https://id.example").begin())


def test_a_redirection_elsewhere_is_not_followed(there: IdentityProvider) -> None:
    elsewhere = {"location": "http://127.0.0.1:1/"}
    there.answers["/keys"] = lambda: Response(status_code=302, headers=elsewhere)
    with pytest.raises(IdentityProviderError, match="/keys answered 302"):
        _log_in(_here(there))


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (endless, "more than 262,144 bytes"),
        (lambda: Response(b"x", headers={"content-encoding": "gzip"}), "or compressed ones"),
        (lambda: Response(b"[" * 100_000), "cannot be read"),
        (lambda: Response(b"<html>"), "cannot be read"),
        (lambda: JSONResponse({"a": 1}, 500), "answered 500"),
    ],
    ids=["endless", "compressed", "nested", "html", "error"],
)
def test_an_answer_that_no_provider_gives_is_one_line(
    there: IdentityProvider, path: str, answer: Callable[[], Response], why: str
) -> None:
    there.answers[path] = answer
    with pytest.raises(IdentityProviderError, match=why):
        _log_in(_here(there))


@pytest.mark.parametrize("keys", [{}, [], {"keys": []}, {"keys": [{"kty": "RSA"}]}, {"keys": 1}])
def test_keys_that_are_none_are_told(there: IdentityProvider, keys: Any) -> None:
    there.answers["/keys"] = lambda: JSONResponse(keys)
    with pytest.raises(IdentityProviderError, match="its keys cannot be read"):
        _log_in(_here(there))


@pytest.mark.parametrize(
    "added",
    [
        {"kty": "EC", "crv": "BP-256", "kid": "new", "x": "AAAA", "y": "AAAA"},
        {"kty": "OKP", "crv": "Ed9", "kid": "new", "x": "AAAA"},
        {"kty": "AKP", "alg": "ML-DSA-44", "kid": "new", "pub": "AAAA"},
        {"kty": "RSA", "kid": "new", "n": "AQAB"},
        {"kid": "new"},
        None,
    ],
    ids=str,
)
def test_a_key_of_an_unknown_kind_keeps_nobody_out(there: IdentityProvider, added: Any) -> None:
    keys = [added, there.key.as_dict(private=False)]
    there.answers["/keys"] = lambda: JSONResponse({"keys": keys})
    assert _log_in(_here(there)) == "jane"


def test_a_shared_key_among_the_public_ones_signs_nothing(there: IdentityProvider) -> None:
    shared = {"kty": "oct", "k": "c2hhcmVk" * 8, "kid": "one"}
    there.answers["/keys"] = lambda: JSONResponse({"keys": [shared]})
    with pytest.raises(RefusedError, match="ID token does not count"):
        _log_in(_here(there))


def test_a_key_of_another_name_signs_nothing(there: IdentityProvider) -> None:
    other = RSAKey.generate_key(2048, {"kid": "three"}).as_dict(private=False)
    there.answers["/keys"] = lambda: JSONResponse({"keys": [other]})
    with pytest.raises(RefusedError, match="No key for kid: 'one'"):
        _log_in(_here(there))


def test_a_provider_may_change_its_keys(there: IdentityProvider) -> None:
    provider = _here(there)
    assert _log_in(provider) == "jane"
    there.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
    assert _log_in(provider) == "jane"


def test_a_slow_answer_is_not_waited_for(
    there: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drops() -> Any:
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    there.answers["/token"] = lambda: StreamingResponse(drops())
    attempt = asyncio.run(_here(there).begin())
    monkeypatch.setattr(openid, "_SECONDS", 0.5)
    with pytest.raises(IdentityProviderError, match=r"did not answer within 0\.5 seconds"):
        asyncio.run(_here(there).finish(attempt, _code(attempt), None))


def test_a_provider_that_is_away_is_one_line() -> None:
    away = Provider("http://127.0.0.1:1", CLIENT, lambda: SECRET, "sub", BACK)
    with pytest.raises(IdentityProviderError, match="cannot be reached") as caught:
        _log_in(away)
    assert "\n" not in str(caught.value)


def test_the_secret_is_in_no_message(
    there: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    wrong = Provider(there.issuer, CLIENT, lambda: "wr0ng s3cret", "sub", BACK)
    with pytest.raises(IdentityProviderError, match="invalid_client") as caught:
        _log_in(wrong)
    assert "check client and secret" in str(caught.value)
    assert _log_in(_here(there)) == "jane"
    for text in (str(caught.value), caplog.text):
        assert "s3cret" not in text


def test_an_attempt_counts_once_for_its_browser_and_state(
    there: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt, other = (asyncio.run(_here(there).begin()) for _ in range(2))
    assert len({attempt.state, attempt.nonce, attempt.verifier, other.state}) == 4
    assert attempt.verifier not in attempt.url
    attempts = Attempts()
    mine, yours = attempts.add(attempt, "/me"), attempts.add(other, "/")
    assert attempts.take(yours, attempt.state) is None
    assert attempts.take("", attempt.state) is None
    assert attempts.take(mine, "ä") is None
    assert attempts.take(mine, attempt.state) == (attempt, "/me")
    assert attempts.take(mine, attempt.state) is None
    now = openid.time.monotonic()
    monkeypatch.setattr(openid.time, "monotonic", lambda: now + 301)
    assert attempts.take(yours, other.state) is None


def test_attempts_do_not_fill_the_memory(
    there: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openid, "_ATTEMPTS", 2)
    attempt, attempts = asyncio.run(_here(there).begin()), Attempts()
    first, *_, last = [attempts.add(attempt, "/") for _ in range(3)]
    assert attempts.take(first, attempt.state) is None
    assert attempts.take(last, attempt.state) is not None
