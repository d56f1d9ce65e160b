"""Gradients of a network's outputs by its parameters, row by row: exact, in eval mode.

Also finds the networks of a model and the inputs that each is called with. Influence belongs in
`gauss_newton`. Imports torch, hence is imported only inside functions.
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
from factory_assets.ml.models.networks.modules.tabm import TabmModule
from factory_resources.errors import ModelError

Reach = Literal["all parameters", "last layer"]

MAX_JACOBIAN = 2**27
"""Numbers in the largest Jacobian kept in memory: half a gigabyte."""

MAX_EIGEN_SIZE = 4096
"""Size of the largest matrix whose eigenvectors are computed: half a minute on one core."""

BATCH = 1024
"""Rows per batch."""


@dataclass(frozen=True)
class Linearised:
    """A network linearised at some rows."""

    outputs: Tensor
    """[rows, outputs]: logits, or the standardised number."""
    jacobian: Tensor
    """[rows, free, parameters]: of the number, or of each logit minus the last one. Probabilities
    depend only on these differences."""


def reach_of(view: View, rows: int, outputs: int) -> Reach:
    """Return the parameters to differentiate by: all if network and rows are small enough."""
    free = max(outputs - 1, 1)
    size = sum(p.numel() for p in view.module.parameters())
    fits = rows * free * size * view.networks <= MAX_JACOBIAN
    small = fits and min(rows * free, size) <= MAX_EIGEN_SIZE
    return "all parameters" if small and _supports_vmap(view) else "last layer"


def linearise(view: View, reach: Reach) -> Linearised:
    """Compute the network's outputs for the rows, and their Jacobian by the parameters in reach.

    Raises:
        ModelError: reach is the last layer, and it is not linear or its Jacobian is too large.
    """
    view.module.eval()
    return _all_parameters(view) if reach == "all parameters" else _last_layer(view)


def _all_parameters(view: View) -> Linearised:
    weights = {name: weight.detach() for name, weight in view.module.named_parameters()}

    def forward(weights: dict[str, Tensor], *row: Tensor) -> tuple[Tensor, Tensor]:
        one = (part.unsqueeze(0) for part in row)
        output: Tensor = functional_call(view.module, weights, (*view.shared, *one))[0]
        return _free(output), output

    row_gradients = vmap(jacrev(forward, has_aux=True), in_dims=(None, *(0 for _ in view.each)))
    outputs, jacobians = [], []
    for part in sliced(view.each, BATCH):
        moved, output = row_gradients(weights, *part)
        outputs.append(output.detach())
        jacobians.append(torch.cat([m.detach().flatten(2) for m in moved.values()], dim=2))
    return Linearised(torch.cat(outputs), torch.cat(jacobians))


def _last_layer(view: View) -> Linearised:
    """Closed form: the derivative of a linear layer's output by a weight is that weight's input."""
    layers = [layer for layer in view.module.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise _no_linear_end(view)
    captured: list[Tensor] = []
    hook = layers[-1].register_forward_pre_hook(lambda _, given: captured.append(given[0].detach()))
    try:
        with torch.no_grad():
            chunks = [view.module(*view.shared, *part) for part in sliced(view.each, BATCH)]
    finally:
        hook.remove()
    outputs, inputs = torch.cat(chunks), torch.cat(captured)
    with torch.no_grad():
        if inputs.dim() != 2 or not torch.allclose(layers[-1](inputs), outputs, atol=1e-5):
            raise _no_linear_end(view)
    if layers[-1].bias is not None:
        inputs = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=1)
    signs = _free(torch.eye(outputs.shape[1])).T
    if len(inputs) * signs.numel() * inputs.shape[1] > 2 * MAX_JACOBIAN:
        raise ModelError(
            f"the influence of {len(inputs)} rows on {outputs.shape[1]} outputs needs too much "
            "memory",
            remedy="leave evaluate.influence out",
        )
    jacobian = torch.einsum("fk,nd->nfkd", signs, inputs).flatten(2)
    return Linearised(outputs, jacobian)


def _free(outputs: Tensor) -> Tensor:
    """[..., outputs] to [..., free]."""
    return outputs if outputs.shape[-1] == 1 else outputs[..., :-1] - outputs[..., -1:]


def _supports_vmap(view: View) -> bool:
    """Whether torch can compute gradients row by row; for a recurrent network it cannot."""
    try:
        _all_parameters(
            View(view.module.eval(), view.shared, tuple(part[:2] for part in view.each))
        )
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
    """One network at some rows: `module(*shared, *each)` returns [rows, outputs], as logits."""

    module: nn.Module
    shared: tuple[Tensor, ...]
    """Inputs common to all rows, such as the layout of series."""
    each: tuple[Tensor, ...]
    """Inputs with one entry per row."""
    networks: int = 1
    """How many networks share weights, this one included, and are linearised one by one."""


def views_of(model: Model, inputs: Arrays) -> tuple[View, ...]:
    """Return the networks that a model averages, with their inputs; none without gradients."""
    if isinstance(model, LinearModel):
        return (View(model.layer(), (), (torch.from_numpy(model.matrix(inputs)),)),)
    if not isinstance(model, NetworkModel):
        return ()
    whole = model.network
    members = list(whole.members) if isinstance(whole, Ensemble) else [whole]
    numbers, codes = tensors(inputs)
    if alone := [one for net in members if isinstance(net, TabmModule) for one in net.alone()]:
        return tuple(View(one, (), (numbers, codes), len(alone)) for one in alone)
    if inputs.windows is None:
        return tuple(View(member, (), (numbers, codes)) for member in members)
    places = torch.from_numpy(inputs.windows.places())
    return tuple(View(member, (numbers, codes), (places,)) for member in members)
