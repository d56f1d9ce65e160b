"""`skops.io`, imported without PyTorch: a run of a small model takes 2 s of CPU and 180 MB less.

skops imports all of scikit-learn to list its estimators, also the adapter to PyTorch's arrays,
which has none. This module imports skops, so import it only inside functions.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_ADAPTER = "sklearn.externals.array_api_compat.torch"


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Let imports of a module that was not imported yet fail; skops goes on without it."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


with _without(_ADAPTER):
    from skops.io import dumps, get_untrusted_types, load, loads
    from skops.io.exceptions import UntrustedTypesFoundException

__all__ = ["UntrustedTypesFoundException", "dumps", "get_untrusted_types", "load", "loads"]
