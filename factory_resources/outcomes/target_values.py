"""Check the value of an outcome: a class of the model, or a number.

Reading the classes of a model belongs in `targets`.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

_SHOWN = 20
"""The most classes that a message names."""

_BOOLEANS = {"1": "true", "1.0": "true", "0": "false", "0.0": "false"}
"""What a contract reads as a bool, beside the words in any case."""


class WrongOutcomeError(ValueError):
    """A value that the target cannot have; the message names valid ones, and not this one."""


@dataclass(frozen=True)
class TargetValues:
    """The values that the target of a pipeline may have."""

    column: str
    """The name of the target."""
    source_name: str
    """Its name in the source, which logged rows use too."""
    classes: tuple[str, ...]
    """Empty if it is a number."""
    sensitive: tuple[str, ...] = ()
    """The columns, by their names in the source, whose values nobody may be shown."""

    def read(self, value: Any) -> str:
        """Return a value as it is recorded, as JSON.

        Args:
            value: a value of JSON; `1`, `1.0` and `"1"` are the same class, `true` is `"true"`. If
                the classes are true and false, `1` is true and `0` is false.

        Raises:
            WrongOutcomeError: it is not a value of the target.
        """
        if value is None:
            raise WrongOutcomeError(f"the outcome is missing; {self._remedy}")
        if not self.classes:
            return json.dumps(self._number(value))
        name = class_name(value)
        if name is not None and {*self.classes} == {*_BOOLEANS.values()}:
            name = _BOOLEANS.get(name, name.lower())
        if name not in self.classes:
            what = f"the outcome is not a class of {self.column!r}"
            raise WrongOutcomeError(f"{what}; {self._remedy}")
        return json.dumps(name)

    def _number(self, value: Any) -> float:
        try:
            number = float(value) if isinstance(value, int | float) else math.nan
        except OverflowError:
            number = math.inf
        if isinstance(value, bool) or not math.isfinite(number):
            raise WrongOutcomeError(
                f"the outcome is not a number, which {self.column!r} is; {self._remedy}"
            )
        return number

    @property
    def _remedy(self) -> str:
        if not self.classes:
            return "send a finite number"
        named = ", ".join(self.classes[:_SHOWN])
        more = len(self.classes) - _SHOWN
        return f"send one of {named}" + (f" and {more:,} more" if more > 0 else "")


def class_name(value: Any) -> str | None:
    """Return the name that a value of JSON has as a class; None if it cannot be one."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value == int(value) else str(value)
    # A number of thousands of digits is not a class, and Python does not convert it to text.
    return str(value) if isinstance(value, int) and abs(value) < 1 << 64 else None
