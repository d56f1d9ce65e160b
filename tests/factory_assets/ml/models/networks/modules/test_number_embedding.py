"""`NumberEmbedding` bends at quantiles, limits absurd values, and leaves out constant columns."""

import numpy as np
import pytest
import torch
from torch import Tensor

from factory_assets.ml.models.base import CLIP_SD
from factory_assets.ml.models.networks.modules.number_embedding import (
    SAMPLE_ROWS,
    SOFT_LIMIT,
    NumberEmbedding,
)


def fitted(numbers: Tensor, *, bins: int = 4, width: int = 3) -> NumberEmbedding:
    torch.manual_seed(1)
    embedding = NumberEmbedding(numbers.shape[1], bins=bins, width=width).eval()
    torch.nn.init.normal_(embedding.bends)
    embedding.fit(numbers)
    return embedding


def skewed(rows: int = 1000) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(rows, 2).exp().clamp(max=CLIP_SD)


@torch.no_grad()
def test_a_number_is_scaled_and_its_bins_are_filled_from_below() -> None:
    numbers = skewed()
    embedding = fitted(numbers)
    values = numbers[:50].numpy().astype(np.float64)
    for i in range(2):
        low, median, high = np.quantile(numbers[:, i].numpy(), [0.25, 0.5, 0.75])
        scaled = (values[:, i] - median) / (high - low)
        limited = scaled / np.sqrt(1 + (scaled / 3) ** 2)
        edges = np.quantile(numbers[:, i].numpy(), [0, 0.25, 0.5, 0.75, 1])
        shares = np.clip((values[:, [i]] - edges[:-1]) / np.diff(edges), 0, 1)
        found = embedding(numbers[:50]).numpy()
        np.testing.assert_allclose(found[:, i], limited, atol=1e-4)
        bent = found[:, 2 + 3 * i : 5 + 3 * i]
        np.testing.assert_allclose(bent, shares @ embedding.bends[i].numpy(), atol=1e-4)


@torch.no_grad()
def test_absurd_values_are_embedded_like_large_ones() -> None:
    embedding = fitted(skewed())
    large, huge = torch.full((1, 2), 1e3), torch.tensor([[1e38, torch.inf]])
    for sign in (1, -1):
        assert torch.equal(embedding(sign * huge), embedding(sign * large))
    assert float(embedding(huge)[:, :2].max()) <= SOFT_LIMIT


@torch.no_grad()
def test_a_constant_column_says_nothing() -> None:
    numbers = torch.cat([skewed(), torch.zeros(1000, 1)], dim=1)
    embedding = fitted(numbers)
    first, other = (torch.tensor([[1.0, 1.0, value]]) for value in (0.0, 7.0))
    assert torch.equal(embedding(first), embedding(other))


@torch.no_grad()
def test_a_column_with_nearly_always_the_same_value_is_scaled_by_its_range() -> None:
    numbers = torch.zeros(1000, 1)
    numbers[:100] = 4.0
    embedding = fitted(numbers)
    assert float(embedding.scale) == pytest.approx(0.5)
    assert int((embedding.inverse_lengths > 0).sum()) == 1


@torch.no_grad()
def test_one_row_and_no_number_are_embedded() -> None:
    assert fitted(torch.ones(1, 2))(torch.ones(1, 2)).isfinite().all()
    assert fitted(torch.empty(5, 0))(torch.empty(5, 0)).shape == (5, 0)


def test_scales_of_many_rows_are_those_of_a_sample_from_all_parts() -> None:
    rows = 4 * SAMPLE_ROWS
    numbers = torch.linspace(-1, 1, rows)[:, None]
    embedding = fitted(numbers)
    assert float(embedding.center) == pytest.approx(0, abs=0.01)
    assert float(embedding.scale) == pytest.approx(1, rel=0.02)
    assert float(embedding.starts[0, 0]) == -1
