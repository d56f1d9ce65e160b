"""The `deploy` section: how exactly the export must agree, and who must approve a candidate.

Exporting belongs in `stages.deploy`, approving in `execution.decisions`.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from factory_assets.spec.base import Spec, is_unset
from factory_assets.spec.contract import Duration
from factory_assets.spec.people import Role


def _none(value: Any) -> Any:
    return None if value == "none" else value


class Approval(Spec):
    """People must approve a candidate that passed its gates before it serves."""

    by: Role = "approver"
    """The role that may approve, as given in `people.yaml`."""
    signatures: Annotated[int, Field(ge=1, le=9)] = 1
    """How many people must approve."""
    valid: Duration = "14d"
    """How long an approval counts, until the candidate serves."""
    four_eyes: bool = False
    """Whether a person is refused who started the run that trained the candidate. It needs the
    `account` of each approver in `people.yaml`."""


class Deploy(Spec):
    """Export the candidate to ONNX, prove that it computes the same, and make it the champion."""

    max_difference: Annotated[float, Field(gt=0)] = 1e-4
    """The largest allowed difference between the outputs of the exported and the trained model on
    the test rows, or the candidate is not deployed. It is a difference of probabilities, or of
    predictions in standard deviations of the target."""
    approval: Annotated[
        Approval | None,
        BeforeValidator(_none, json_schema_input_type=Approval | None),
        Field(exclude_if=is_unset),
    ] = None
    """Who must approve a candidate before it serves; `{}` asks for one approver. Required for risk
    tier `high`. Default: nobody, the gates alone decide."""
