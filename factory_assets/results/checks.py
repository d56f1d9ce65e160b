"""The outcome of a check of a whole table.

Which checks there are, and what each compares, belongs in the packages that run them.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

TableCheckName = Literal["row_count", "freshness", "drift", "personal_data", "leaks"]


@dataclass(frozen=True)
class TableCheck:
    """What came of one check."""

    name: TableCheckName
    passed: bool
    says: str
    """In one line."""
    blocking: bool
    remedy: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)
