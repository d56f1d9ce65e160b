"""Memory of freed tensors is reused within the block, and given back after it."""

import ctypes
import resource

import pytest
import torch

from factory_assets.ml.models.networks.lightning.memory import reused_memory

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc"),
]

PAGE, LAYER = resource.getpagesize(), 100 << 20


def _pages(steps: int) -> int:
    """Return how many pages the system provides for steps that each fill two large tensors."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        (torch.zeros(LAYER // 4) + 1).sum()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def _resident() -> int:
    with open("/proc/self/statm") as stat:
        return int(stat.read().split()[1]) * PAGE


def test_memory_is_reused_within_the_block_and_given_back_after_it() -> None:
    before = _resident()
    with reused_memory():
        _pages(1)
        reused = _pages(5)
        held = _resident() - before
    assert held > LAYER
    assert _resident() - before < LAYER / 2
    fresh = _pages(5)
    assert reused < fresh / 10
