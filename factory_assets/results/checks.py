"""The result of a check of a whole table.

Which checks exist, and what each compares, belongs in the packages that run them.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

TableCheckName = Literal[
    "row_count",
    "freshness",
    "drift",
    "personal_data",
    "offsets",
    "copies",
    "joins",
    "shares",
    "spellings",
    "leaks",
]


@dataclass(frozen=True)
class TableCheck:
    """The result of one check."""

    name: TableCheckName
    passed: bool
    says: str
    """The message, in one line."""
    blocking: bool
    """Whether a failed check stops the pipeline."""
    remedy: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)
    """The compared values by title, for the UI."""
