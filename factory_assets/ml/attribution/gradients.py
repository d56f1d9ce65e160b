"""How a network's outputs move with its parameters, row by row: exact, in eval mode.

Imports torch, hence is imported only inside functions.

What of a model is open to gradients: its networks, and what each is called with.

Imports torch, hence is imported only inside functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.base import Model
from factory_assets.ml.models.linear import LinearModel
from factory_assets.ml.models.networks.lightning.batches import sliced
from factory_assets.ml.models.networks.model import NetworkModel, tensors
from factory_assets.ml.models.networks.modules.ensemble import Ensemble
from factory_resources.errors import ModelError

Reach = Literal["all parameters", "last layer"]

LARGEST = 2**27
"""Numbers in a Jacobian that is held: half a gigabyte."""

WIDEST = 4096
"""The largest matrix whose eigenvectors are taken: half a minute on one core."""

MANY = 1024
"""Rows that are taken at once."""


@dataclass(frozen=True)
class Linearised:
    """A network at some rows."""

    outputs: Tensor
    """[rows, outputs]: logits, or the standardised number."""
    jacobian: Tensor
    """[rows, free, parameters] of the number; of classes, of each logit less the last one, on which
    alone probabilities depend."""


def reach_of(view: View, rows: int, outputs: int) -> Reach:
    """All parameters where the network and the rows are few enough for it."""
    free = max(outputs - 1, 1)
    size = sum(p.numel() for p in view.module.parameters())
    small = rows * free * size <= LARGEST and min(rows * free, size) <= WIDEST
    return "all parameters" if small and _maps(view) else "last layer"


def linearise(view: View, reach: Reach) -> Linearised:
    """What the network says of the rows, and how that moves with the parameters within reach.

    Raises:
        ModelError: the network does not end in a linear layer, or is too large even so.
    """
    view.module.eval()
    return _whole(view) if reach == "all parameters" else _last(view)


def _whole(view: View) -> Linearised:
    weights = {name: weight.detach() for name, weight in view.module.named_parameters()}

    def say(weights: dict[str, Tensor], *row: Tensor) -> tuple[Tensor, Tensor]:
        one = (part.unsqueeze(0) for part in row)
        said: Tensor = functional_call(view.module, weights, (*view.shared, *one))[0]
        return _free(said), said

    each = vmap(jacrev(say, has_aux=True), in_dims=(None, *(0 for _ in view.each)))
    outputs, jacobians = [], []
    for part in sliced(view.each, MANY):
        moved, said = each(weights, *part)
        outputs.append(said.detach())
        jacobians.append(torch.cat([m.detach().flatten(2) for m in moved.values()], dim=2))
    return Linearised(torch.cat(outputs), torch.cat(jacobians))


def _last(view: View) -> Linearised:
    """Closed form: a linear layer's output moves with a weight by that weight's input."""
    layers = [layer for layer in view.module.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise _no_linear_end(view)
    seen: list[Tensor] = []
    hook = layers[-1].register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    try:
        with torch.no_grad():
            said = [view.module(*view.shared, *part) for part in sliced(view.each, MANY)]
    finally:
        hook.remove()
    outputs, inputs = torch.cat(said), torch.cat(seen)
    with torch.no_grad():
        if inputs.dim() != 2 or not torch.allclose(layers[-1](inputs), outputs, atol=1e-5):
            raise _no_linear_end(view)
    if layers[-1].bias is not None:
        inputs = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=1)
    signs = _free(torch.eye(outputs.shape[1])).T
    if len(inputs) * signs.numel() * inputs.shape[1] > 2 * LARGEST:
        raise ModelError(
            f"the influence of {len(inputs)} rows on {outputs.shape[1]} outputs is too large",
            remedy="leave evaluate.influence out",
        )
    jacobian = torch.einsum("fk,nd->nfkd", signs, inputs).flatten(2)
    return Linearised(outputs, jacobian)


def _free(outputs: Tensor) -> Tensor:
    """[..., outputs] to [..., free]."""
    return outputs if outputs.shape[-1] == 1 else outputs[..., :-1] - outputs[..., -1:]


def _maps(view: View) -> bool:
    """Whether torch can take the gradient of each row; of a recurrent network it cannot."""
    try:
        _whole(View(view.module.eval(), view.shared, tuple(part[:2] for part in view.each)))
    except RuntimeError:
        return False
    return True


def _no_linear_end(view: View) -> ModelError:
    return ModelError(
        f"{type(view.module).__name__} does not end in a linear layer over rows",
        remedy="let its last layer be torch.nn.Linear, or leave evaluate.influence out",
    )


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
