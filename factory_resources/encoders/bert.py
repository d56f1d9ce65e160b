"""BERT's encoder, called as its weights are. Imports torch, hence only inside functions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Embeddings(nn.Module):
    def __init__(self, about: dict[str, Any]) -> None:
        super().__init__()
        width = about["hidden_size"]
        self.word_embeddings = nn.Embedding(about["vocab_size"], width)
        self.position_embeddings = nn.Embedding(about["max_position_embeddings"], width)
        self.token_type_embeddings = nn.Embedding(about["type_vocab_size"], width)
        self.LayerNorm = nn.LayerNorm(width, eps=about["layer_norm_eps"])

    def forward(self, pieces: Tensor) -> Tensor:
        found = self.word_embeddings(pieces)
        found = found + self.position_embeddings.weight[: pieces.shape[1]]
        result: Tensor = self.LayerNorm(found + self.token_type_embeddings.weight[0])
        return result


class Projection(nn.Module):
    """Back to the width, added to what came in."""

    def __init__(self, inner: int, about: dict[str, Any]) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, about["hidden_size"])
        self.LayerNorm = nn.LayerNorm(about["hidden_size"], eps=about["layer_norm_eps"])

    def forward(self, found: Tensor, before: Tensor) -> Tensor:
        result: Tensor = self.LayerNorm(self.dense(found) + before)
        return result


class Attention(nn.Module):
    def __init__(self, about: dict[str, Any]) -> None:
        super().__init__()
        width = about["hidden_size"]
        self.heads = about["num_attention_heads"]
        self.self = nn.ModuleDict(
            {name: nn.Linear(width, width) for name in ("query", "key", "value")}
        )
        self.output = Projection(width, about)

    def forward(self, rows: Tensor) -> Tensor:
        count, length, width = rows.shape
        query, key, value = (
            self.self[name](rows).view(count, length, self.heads, -1).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(2, 3) * (width // self.heads) ** -0.5
        seen = (scores.softmax(dim=3) @ value).transpose(1, 2).reshape(count, length, width)
        result: Tensor = self.output(seen, rows)
        return result


class Layer(nn.Module):
    def __init__(self, about: dict[str, Any]) -> None:
        super().__init__()
        self.attention = Attention(about)
        self.intermediate = nn.ModuleDict(
            {"dense": nn.Linear(about["hidden_size"], about["intermediate_size"])}
        )
        self.output = Projection(about["intermediate_size"], about)

    def forward(self, rows: Tensor) -> Tensor:
        seen = self.attention(rows)
        result: Tensor = self.output(functional.gelu(self.intermediate["dense"](seen)), seen)
        return result


class Bert(nn.Module):
    """[texts, pieces] of texts that are equally long to [texts, width]: the mean, of length 1."""

    def __init__(self, about: dict[str, Any]) -> None:
        super().__init__()
        self.embeddings = Embeddings(about)
        layers = [Layer(about) for _ in range(about["num_hidden_layers"])]
        self.encoder = nn.ModuleDict({"layer": nn.Sequential(*layers)})

    def forward(self, pieces: Tensor) -> Tensor:
        rows = self.encoder["layer"](self.embeddings(pieces))
        return functional.normalize(rows.mean(dim=1), dim=1)


def bert(about: dict[str, Any], weights: dict[str, Tensor]) -> Bert:
    """The encoder with its weights; every one must be there, and fit.

    Raises:
        RuntimeError: when one does not.
    """
    with torch.device("meta"):
        module = Bert(about)
    kept = {
        # Apart from the file, which may change.
        name: weight.float().clone()
        for name, weight in weights.items()
        if not name.startswith("pooler.") and name != "embeddings.position_ids"
    }
    module.load_state_dict(kept, strict=True, assign=True)
    return module.eval()
