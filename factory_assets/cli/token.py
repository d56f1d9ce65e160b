"""`factory token`: make, list and revoke the tokens of the prediction server.

How they are stored belongs in `factory_resources.security.tokens`.
"""

from collections.abc import Iterator
from datetime import timedelta

from factory_assets.spec.base import suggest
from factory_resources.durations import minute, seconds_of
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.security.tokens import Tokens
from factory_resources.tracking.registry import Registry


def new_token(name: str, pipelines: str, valid: str, rate: float | None) -> str:
    """Make a token and return it.

    Raises:
        UnknownNameError: a pipeline has no model, `valid` is not a duration or none at all, or the
            name or the rate cannot be that of a token.
        KeyFileError: there is a token of this name.
    """
    home = Home.from_env()
    names = [*dict.fromkeys(part.strip() for part in pipelines.split(",") if part.strip())]
    known = list(Registry(home).versions())
    for pipeline in names or [""]:
        if pipeline not in known:
            raise UnknownNameError(
                f"there is no model of {pipeline!r}",
                remedy=suggest(pipeline, known)
                if known
                else "run a pipeline that trains one first",
            )
    if not (seconds := seconds_of(valid)):
        raise UnknownNameError(
            f"a token cannot be valid for {valid}", remedy="write a time such as 30d"
        )
    return Tokens(home).new(name, names, valid=timedelta(seconds=seconds), rate=rate)


def token_lines() -> Iterator[str]:
    """Yield one line for each token."""
    for token in Tokens(Home.from_env()).list():
        state = "revoked" if token.revoked else "valid" if token.is_valid else "expired"
        rate = f", {token.rate:g} a second" if token.rate else ""
        until = minute(token.expires)
        yield f"{token.name}: {', '.join(token.pipelines)}; {state}, until {until} UTC{rate}"


def revoke_token(name: str) -> str:
    """Revoke a token and return what was done.

    Raises:
        UnknownNameError: there is no valid token of this name.
    """
    token = Tokens(Home.from_env()).revoke(name)
    return f"revoked the token of {token.name}"
