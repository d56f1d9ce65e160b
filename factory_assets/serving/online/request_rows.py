"""The rows of one request in the form in which they came, and how each form is scored.

Parsing a body belongs in `serving.http`; columns of arrays in `column_request`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from factory_assets.serving.online.served_model import ScoredRequest, ServedModel
from factory_resources.sql.scalar.values import UndecidedError


class RequestRows(Protocol):
    """Rows by the column names of the source."""

    def __len__(self) -> int: ...

    def score(self, served: ServedModel) -> ScoredRequest:
        """Score the rows without the engine.

        Raises:
            UndecidedError: only the engine may decide.
        """
        ...

    def objects(self) -> Sequence[Mapping[str, Any]]:
        """Return the rows as JSON objects."""
        ...

    def logged(self, served: ServedModel) -> bytes:
        """Return the needed columns and the keys of the rows for the prediction log."""
        ...


@dataclass(frozen=True)
class CompiledRequest:
    """Rows that were decoded by the compiled contract."""

    rows: Sequence[msgspec.Struct]

    def __len__(self) -> int:
        return len(self.rows)

    def score(self, served: ServedModel) -> ScoredRequest:
        """Score the rows without the engine."""
        assert served.compiled is not None
        values = served.compiled.schema.values
        return served.score_compiled([values(row) for row in self.rows])

    def objects(self) -> Sequence[Mapping[str, Any]]:
        """Return the rows as JSON objects."""
        found: Sequence[Mapping[str, Any]] = msgspec.to_builtins(self.rows)
        return found

    def logged(self, served: ServedModel) -> bytes:
        """Return the rows as JSON."""
        if served.keys:
            return ObjectRequest(self.objects()).logged(served)
        return msgspec.json.encode(self.rows)


@dataclass(frozen=True)
class ObjectRequest:
    """Rows as JSON objects, with any keys and values."""

    rows: Sequence[Mapping[str, Any]]

    def __len__(self) -> int:
        return len(self.rows)

    def score(self, served: ServedModel) -> ScoredRequest:
        """Leave the rows to the engine."""
        raise UndecidedError

    def objects(self) -> Sequence[Mapping[str, Any]]:
        """Return the rows."""
        return self.rows

    def logged(self, served: ServedModel) -> bytes:
        """Return the needed columns and the keys as JSON."""
        return msgspec.json.encode([served.logged_cells(row) for row in self.rows])
