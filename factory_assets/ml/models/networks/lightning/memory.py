"""How the C library provides the memory of the tensors of a training.

How much memory a batch takes belongs in `batches.py`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""The numbers of two settings of `mallopt` in glibc."""

_NEVER = 2**31 - 1

_LARGEST_MMAP_THRESHOLD = 32 << 20
"""Up to which glibc raises the threshold by itself; the other one is then twice as large."""


@contextmanager
def reused_memory() -> Iterator[None]:
    """Within the block, keep the memory of freed tensors for the next ones.

    By default, glibc gives blocks of more than 32 MiB back to the system, which then provides new
    pages in each step. For large layers, that takes longer than the computation, twice as long for
    a CNN over pictures of 128 x 128 pixels (`benchmarks.throughput`); in exchange, the training
    takes more memory. Without `mallopt`, as on macOS, nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        yield
        return
    mallopt(_MMAP_THRESHOLD, _NEVER)
    mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_MMAP_THRESHOLD)
        ctypes.CDLL(None).malloc_trim(0)
