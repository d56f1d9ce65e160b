"""What this machine's kernel lets an ordinary user do."""

import subprocess
import sys
import warnings
from functools import cache

import pytest

from factory_resources.home.home import PROJECT
from tests.ordinary_user import by_ordinary_user

_ASK = """
import sys
sys.path.insert(0, sys.argv[1])
from factory_resources.boundary.boundary import level_here
print(*level_here())
"""


@cache
def level_of_this_machine() -> tuple[str, str]:
    """Return the level that an ordinary user reaches, and why not more."""
    command = by_ordinary_user([sys.executable, "-c", _ASK, str(PROJECT)])
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    level, _, reason = done.stdout.strip().partition(" ")
    return level, reason


def _has_namespaces() -> bool:
    level, reason = level_of_this_machine()
    if level == "namespaces":
        return True
    warnings.warn(f"THE BOUNDARY IS TESTED IN ITS FALLBACK ONLY: {reason}", stacklevel=2)
    return False


needs_namespaces = pytest.mark.skipif(
    not _has_namespaces(), reason=f"the kernel refuses namespaces: {level_of_this_machine()[1]}"
)
