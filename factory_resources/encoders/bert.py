"""BERT's encoder, with attributes named like its stored weights.

It imports torch, so import this module only inside functions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Embeddings(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], width)
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], width)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], width)
        self.LayerNorm = nn.LayerNorm(width, eps=config["layer_norm_eps"])

    def forward(self, pieces: Tensor) -> Tensor:
        vectors = self.word_embeddings(pieces)
        vectors = vectors + self.position_embeddings.weight[: pieces.shape[1]]
        result: Tensor = self.LayerNorm(vectors + self.token_type_embeddings.weight[0])
        return result


class Projection(nn.Module):
    """Projects vectors back to the hidden width and adds the residual."""

    def __init__(self, inner: int, config: dict[str, Any]) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, config["hidden_size"])
        self.LayerNorm = nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"])

    def forward(self, vectors: Tensor, residual: Tensor) -> Tensor:
        result: Tensor = self.LayerNorm(self.dense(vectors) + residual)
        return result


class Attention(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.heads = config["num_attention_heads"]
        self.self = nn.ModuleDict(
            {name: nn.Linear(width, width) for name in ("query", "key", "value")}
        )
        self.output = Projection(width, config)

    def forward(self, rows: Tensor) -> Tensor:
        count, length, width = rows.shape
        query, key, value = (
            self.self[name](rows).view(count, length, self.heads, -1).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(2, 3) * (width // self.heads) ** -0.5
        mixed = (scores.softmax(dim=3) @ value).transpose(1, 2).reshape(count, length, width)
        result: Tensor = self.output(mixed, rows)
        return result


class Layer(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = nn.ModuleDict(
            {"dense": nn.Linear(config["hidden_size"], config["intermediate_size"])}
        )
        self.output = Projection(config["intermediate_size"], config)

    def forward(self, rows: Tensor) -> Tensor:
        mixed = self.attention(rows)
        result: Tensor = self.output(functional.gelu(self.intermediate["dense"](mixed)), mixed)
        return result


class Bert(nn.Module):
    """Maps [texts, pieces], with texts of equal length, to [texts, width]: means of length 1."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        layers = [Layer(config) for _ in range(config["num_hidden_layers"])]
        self.encoder = nn.ModuleDict({"layer": nn.Sequential(*layers)})

    def forward(self, pieces: Tensor) -> Tensor:
        rows = self.encoder["layer"](self.embeddings(pieces))
        return functional.normalize(rows.mean(dim=1), dim=1)


def bert(config: dict[str, Any], weights: dict[str, Tensor]) -> Bert:
    """Return the encoder with its weights; each weight must exist and have the right shape.

    In a file of a model with a head, such as for masked words, the names begin with `bert.`.

    Raises:
        RuntimeError: a weight is missing or does not fit.
    """
    with torch.device("meta"):
        module = Bert(config)
    state = {
        # A copy, since the file may change.
        plain: weight.float().clone()
        for name, weight in weights.items()
        if not (plain := name.removeprefix("bert.")).startswith(_HEADS)
        and plain != "embeddings.position_ids"
    }
    module.load_state_dict(state, strict=True, assign=True)
    return module.eval()


_HEADS = ("pooler.", "cls.")
"""Weights of what stands on an encoder."""
