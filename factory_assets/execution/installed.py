"""Which distributions are installed in the environment of this process.

What a stage really loaded belongs in `loaded_code`.
"""

import os
import re
import sys

_SUFFIX = ".dist-info"


def installed_distributions() -> dict[str, str]:
    """Return name to version of every distribution that Python finds, by name.

    The names of their folders tell both (PyPA, "Recording installed projects"). Reading the
    metadata of some hundred distributions would take as long as a small training.
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        for name, version in _in_folder(folder or os.curdir):
            found.setdefault(name, version)
    return dict(sorted(found.items()))


def normalized_name(name: str) -> str:
    """Return the name of a distribution as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _in_folder(folder: str) -> list[tuple[str, str]]:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(_SUFFIX))
    except OSError:
        return []
    parts = (name.removesuffix(_SUFFIX).rpartition("-") for name in names)
    return [(normalized_name(name), version) for name, _, version in parts if name and version]
