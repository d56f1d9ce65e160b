"""The device of a test: the processor, or a GPU; without one, each test says the same reason."""

import pytest

from tests.gpu.recording import without_gpu


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """Name the accelerator on which a test trains."""
    name: str = request.param
    if name == "cuda" and (reason := without_gpu()):
        pytest.skip(f"NOT TESTED: {reason}")
    return name
