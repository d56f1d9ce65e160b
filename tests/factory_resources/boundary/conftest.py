"""A folder of the ordinary user's."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ordinary_user import USER


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the ordinary user owns and can reach; pytest's own is closed to others."""
    found = Path(tempfile.mkdtemp(prefix="factory-boundary-test-"))
    os.chown(found, *USER)
    yield found
    shutil.rmtree(found)
