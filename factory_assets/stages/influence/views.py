"""What of a model is open to gradients: its networks, and what each is called with.

Imports torch, hence is imported only inside functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from factory_assets.stages.features import Arrays
from factory_assets.stages.models import Model
from factory_assets.stages.models.ensemble import Ensemble
from factory_assets.stages.models.linear import LinearModel
from factory_assets.stages.models.network import NetworkModel, tensors


@dataclass(frozen=True)
class View:
    """One network at some rows: `module(*shared, *each)` says [rows, outputs], as logits."""

    module: nn.Module
    shared: tuple[Tensor, ...]
    """What all rows read, such as the layout of series."""
    each: tuple[Tensor, ...]
    """One entry a row."""


def views_of(model: Model, inputs: Arrays) -> tuple[View, ...]:
    """The networks whose mean a model is, at some rows; none of a model without gradients."""
    if isinstance(model, LinearModel):
        matrix = inputs.one_hot(model.cardinalities)
        return (View(model.layer(), (), (torch.from_numpy(matrix),)),)
    if not isinstance(model, NetworkModel):
        return ()
    whole = model.network
    members = list(whole.members) if isinstance(whole, Ensemble) else [whole]
    numbers, codes = tensors(inputs)
    if inputs.windows is None:
        return tuple(View(member, (), (numbers, codes)) for member in members)
    places = torch.from_numpy(inputs.windows.places())
    return tuple(View(member, (numbers, codes), (places,)) for member in members)
