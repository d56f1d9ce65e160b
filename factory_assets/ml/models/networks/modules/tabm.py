"""Many networks for tables in one, which share most of their weights.

What one number becomes belongs in `number_embedding.py`. This module imports torch and Lightning,
so import it only inside functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor, nn

from factory_assets.ml.models.networks.lightning.averaging import AveragedNetworkModule
from factory_assets.ml.models.networks.lightning.batches import Batch
from factory_assets.ml.models.networks.modules.mlp import Dropout
from factory_assets.ml.models.networks.modules.number_embedding import NumberEmbedding


class TabmModule(AveragedNetworkModule):
    """Networks for tables that differ by their first adapter and their last layer.

    Each member multiplies the embedded inputs by an adapter of its own; the hidden layers are the
    same for all (TabM-mini of Gorishniy et al. 2024, "TabM: advancing tabular deep learning with
    parameter-efficient ensembling"). Each learns from its own loss; their predictions are averaged.
    """

    def __init__(
        self,
        numeric: int,
        categories: Sequence[int],
        outputs: int,
        *,
        members: int,
        hidden: Sequence[int],
        dropout: float,
        bins: int,
        embedding: int,
    ) -> None:
        super().__init__()
        sizes = [min(32, (cardinality + 1) // 2) for cardinality in categories]
        self.numbers = NumberEmbedding(numeric, bins=bins, width=embedding)
        self.embeddings = nn.ModuleList(map(nn.Embedding, categories, sizes))
        first, *others = hidden
        self.first = AdaptedLinear(self.numbers.outputs + sum(sizes), first, members=members)
        widths = [first, *others]
        self.others = nn.ModuleList(map(nn.Linear, widths, others))
        self.dropout = Dropout(dropout)
        self.last = MemberLinear(widths[-1], outputs, members=members)
        self.values_per_row = max(numeric * bins, members * max(widths))

    @property
    def members(self) -> int:
        return len(self.last.weight)

    def fit_inputs(self, rows: Batch) -> None:
        self.numbers.fit(rows[0])

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Return [rows, outputs]: logits of the mean probabilities, or the mean number."""
        outputs = self.member_outputs(numbers, codes)
        if outputs.shape[2] == 1:
            return outputs.mean(dim=0)
        return outputs.log_softmax(dim=2).logsumexp(dim=0) - log(self.members)

    def member_outputs(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Return [members, rows, outputs]: logits, or standardised numbers."""
        embedded = [embed(codes[:, i]) for i, embed in enumerate(self.embeddings)]
        values = self.first(torch.cat([self.numbers(numbers), *embedded], dim=1))
        for layer in self.others:
            values = layer(self._activated(values))
        outputs: Tensor = self.last(self._activated(values))
        return outputs

    def alone(self) -> list[TabmMember]:
        """Return each member as a network of its own."""
        return [TabmMember(self, number) for number in range(self.members)]

    def _activated(self, values: Tensor) -> Tensor:
        dropped: Tensor = self.dropout(torch.relu(values))
        return dropped

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean loss of the members; outside of training, that of their mean."""
        if not self.training:
            return super().loss(batch)
        numbers, codes, target = batch
        outputs = self.member_outputs(numbers, codes).flatten(0, 1)
        return self.loss_of(outputs, target.repeat(self.members))


class TabmMember(nn.Module):
    """One member in eval mode as a plain network, its adapter multiplied into the first layer."""

    def __init__(self, whole: TabmModule, number: int) -> None:
        super().__init__()
        self.numbers, self.embeddings = whole.numbers, whole.embeddings
        first, last = whole.first, whole.last
        layers: list[nn.Module] = [_linear(first.member_weights()[number], first.bias), nn.ReLU()]
        for layer in whole.others:
            layers += [layer, nn.ReLU()]
        last_layer = _linear(last.weight[number], last.bias[number].reshape(-1))
        self.layers = nn.Sequential(*layers, last_layer)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Return [rows, outputs]: logits, or the standardised number."""
        embedded = [embed(codes[:, i]) for i, embed in enumerate(self.embeddings)]
        result: Tensor = self.layers(torch.cat([self.numbers(numbers), *embedded], dim=1))
        return result


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a layer with a copy of weights [inputs, outputs] and bias [outputs]."""
    layer = nn.Linear(*weight.shape)
    with torch.no_grad():
        layer.weight.copy_(weight.T)
        layer.bias.copy_(bias)
    return layer


class AdaptedLinear(nn.Module):
    """A linear layer whose weights all members share, after each has scaled the inputs its own way.

    The scales are multiplied into the weights, so that no copy of the inputs is made for a member.
    """

    def __init__(self, inputs: int, outputs: int, *, members: int) -> None:
        super().__init__()
        self.adapters = nn.Parameter(torch.randint(0, 2, (members, inputs, 1)) * 2.0 - 1)
        self.weight = nn.Parameter(_uniform(inputs, inputs, outputs))
        self.bias = nn.Parameter(_uniform(inputs, outputs))

    def forward(self, values: Tensor) -> Tensor:
        """Return [members, rows, outputs] for [rows, inputs]."""
        weights = self.member_weights()
        members, _, outputs = weights.shape
        each = values.expand(members, *values.shape)
        return torch.baddbmm(self.bias.expand(members, 1, outputs), each, weights)

    def member_weights(self) -> Tensor:
        """Return the weights of each member, [members, inputs, outputs]."""
        return self.adapters * self.weight


class MemberLinear(nn.Module):
    """A linear layer of its own for each member."""

    def __init__(self, inputs: int, outputs: int, *, members: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(_uniform(inputs, members, inputs, outputs))
        self.bias = nn.Parameter(_uniform(inputs, members, 1, outputs))

    def forward(self, values: Tensor) -> Tensor:
        """Return [members, rows, outputs] for [members, rows, inputs]."""
        return torch.baddbmm(self.bias, values, self.weight)


def _uniform(inputs: int, *shape: int) -> Tensor:
    """Draw from -1/sqrt(inputs) to 1/sqrt(inputs), as torch does for its linear layers."""
    bound = max(inputs, 1) ** -0.5
    return torch.empty(shape).uniform_(-bound, bound)
