"""What to do about inputs that give the answer away, and about parts that know each other."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from factory_assets.spec.base import ColumnName, Spec


def _worded(reason: str) -> str:
    if not reason.strip():
        raise ValueError("a reason needs words")
    return reason


Reason = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_worded)]


class LeakRule(Spec):
    """Leaks are looked for in every pipeline with a model; what is accepted needs a reason."""

    action: Literal["block", "warn", "off"] = "block"
    """What follows from a leak that is sure: `block` trains nothing, `warn` only says so."""
    allow: dict[ColumnName, Reason] = {}
    """Columns that are right as they are, each with the reason why, which is kept with the model:
    why its value is known when the model is asked."""
    duplicates: Reason | None = None
    """Why rows may be in the training part and in the test part alike."""
