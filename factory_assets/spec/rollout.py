"""The careful roll-out of a new version beside the champion: `canary` and `shadow` of `deploy`.

When a roll-out begins and ends is decided in `execution.rollout`, who gets which version in
`serving.http`.
"""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from factory_assets.spec.base import Spec
from factory_assets.spec.contract import Duration

WHOLE = 10_000
"""A share of this many parts is everything."""


def _share(value: Any) -> Any:
    if not 0 < parts_of(str(value)) < WHOLE:
        raise ValueError(
            f"share {value} is not a part of the callers; write more than 0% and less than 100%, "
            "such as 10%"
        )
    return value


def parts_of(share: str) -> int:
    """Return how many of `WHOLE` parts a share such as `10%` is; 0 if it is not a share."""
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,2})?%", share):
        return 0
    return round(float(share[:-1]) * 100)


def share_text(parts: int) -> str:
    """Return how many percent some of `WHOLE` parts are, such as `10 %`."""
    return f"{parts / WHOLE * 100:g} %"


Share = Annotated[str, BeforeValidator(_share), Field(examples=["10%"])]
"""A part of the callers, above 0% and below 100%."""


class Canary(Spec):
    """A share of the callers gets the new version until it is known to be no worse."""

    share: Share
    """The share of the callers that get the new version, such as `10%`. A caller stays with one
    version."""
    duration: Annotated[Duration, Field(alias="for")]
    """How long it takes at least, such as `2h`."""
    answers: Annotated[int, Field(ge=1, le=100_000_000)] = 100
    """The fewest answers of the new version after which it may become champion."""


class Shadow(Spec):
    """The new version also answers what the champion is asked, but nobody gets its answers."""

    duration: Annotated[Duration, Field(alias="for")] = "1d"
    """How long it takes at least, such as `1d`."""
    answers: Annotated[int, Field(ge=1, le=100_000_000)] = 100
    """The fewest answers of the new version after which it may become champion."""
