"""The rows of a request after validation and cleaning: what a model can score, and what not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.serving.online.refusals import Refusal

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class PreparedRows:
    """The rows of a request that a model can score, and the others."""

    table: pa.Table
    """With the column `_row`: the number of the row in the request, from 1."""
    refusals: tuple[Refusal, ...]
