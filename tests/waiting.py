"""Wait for what other processes and threads do, as long as a busy machine takes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(check: Callable[[], T], seconds: float = 120) -> T:
    """Check again and again until the result is true, and return it.

    Args:
        seconds: after which the test fails.
    """
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"it did not happen within {seconds:g} s"
        time.sleep(0.05)
    return found
