"""The `train.leaks` section: what to do about inputs that reveal the target."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from factory_assets.spec.base import ColumnName, Spec, switched_off


def _not_blank(reason: str) -> str:
    if not reason.strip():
        raise ValueError("the reason is blank; give it in words")
    return reason


Reason = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_not_blank)]


class LeakRule(Spec):
    """What to do about leaks: inputs that reveal the target, and related rows in different parts.

    Leaks are looked for in every pipeline with a model. To accept one, give a reason.
    """

    action: Annotated[Literal["block", "warn", "off"], switched_off] = "block"
    """What a certain leak causes: `block` stops the pipeline before training, `warn` only reports
    it, `off` reports no leaks at all."""
    allow: dict[ColumnName, Reason] = {}
    """Columns that are legitimate inputs, each with the reason why its value is known at prediction
    time, such as `{discharge: The destination is known beforehand}`. The reason is stored with the
    model."""
    duplicates: Reason | None = None
    """The reason why test rows may repeat training rows. Default: repeated rows count as a leak."""
