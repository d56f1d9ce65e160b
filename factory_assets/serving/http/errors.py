"""What a request may do wrong: an HTTP status, a word for the metrics, one line with a remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from factory_resources.errors import DatabaseAwayError, StorageError

ErrorKind = Literal[
    "malformed",
    "too_large",
    "contract",
    "unknown",
    "unauthorized",
    "forbidden",
    "overload",
    "stopped",
    "timeout",
    "unavailable",
    "fault",
]


_LONGEST = 2_000
"""Characters of what is wrong: a name in a request may be as long as its body."""


class HttpError(Exception):
    """An answer that is not a prediction.

    Args:
        status: the HTTP status.
        kind: by which errors are counted.
        what: what is wrong; no values of a sensitive column.
        remedy: what to do.
        reasons: what is wrong with single rows; the first ones.
        broken: how many rows break each rule.
        retry: seconds after which to try again, or None.
    """

    def __init__(
        self,
        status: int,
        kind: ErrorKind,
        what: str,
        remedy: str = "",
        *,
        reasons: list[dict[str, Any]] | None = None,
        broken: Mapping[str, int] | None = None,
        retry: int | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what if len(what) <= _LONGEST else f"{what[:_LONGEST]}…"
        self.status, self.kind, self.remedy = status, kind, remedy
        self.reasons, self.retry = reasons or [], retry
        self.broken: Mapping[str, int] = broken or {}
        self.about = ("", "", "")
        """Pipeline, version and role of the model that was asked, if one was: `Call.about`."""

    @property
    def more_reasons(self) -> int:
        """How many reasons there are beside the first ones."""
        return max(0, sum(self.broken.values()) - len(self.reasons))

    @property
    def line(self) -> str:
        """What is wrong and what to do, in one line."""
        return f"{self.what}; {self.remedy}" if self.remedy else self.what


def malformed(what: str, remedy: str) -> HttpError:
    """Return the error of a request that cannot be read."""
    return HttpError(400, "malformed", what, remedy)


def unavailable(error: StorageError) -> HttpError:
    """Return what a caller is told of it: not where the home or its database is."""
    if isinstance(error, DatabaseAwayError):
        what, remedy = "the database cannot be used", "try again; the log of the server says why"
    else:
        what = error.what
        remedy = "free space if a disk is full; the log of the server says where"
    return HttpError(503, "unavailable", what, remedy, retry=5)
