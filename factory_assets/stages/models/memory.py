"""When memory is short. Imports torch, hence is imported only inside functions."""

import torch

from factory_resources.errors import ModelError

SIGNS = ("DefaultCPUAllocator", "not enough memory", "MPS backend out of memory")
"""What torch says of it where it has no class of its own for that."""


class OutOfMemoryError(ModelError):
    """A training that needs more memory than there is."""


def require_memory(error: Exception) -> None:
    """Raise `OutOfMemoryError` if that is what an error is about.

    Raises:
        OutOfMemoryError: so it is.
    """
    of_class = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if not of_class and not any(sign in str(error) for sign in SIGNS):
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise OutOfMemoryError(
        "memory is too short to train with such batches",
        remedy="lower train.model.batch_size, or the size of the network",
    ) from error
