"""Which distributions are installed in the environment of this process.

What a stage really loaded belongs in `loaded_code`.
"""

import os
import re
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

_SUFFIX = ".dist-info"

_OF_INSTALLER = (".pyc", f"{_SUFFIX}/RECORD", f"{_SUFFIX}/INSTALLER", f"{_SUFFIX}/REQUESTED")


def installed_distributions() -> dict[str, str]:
    """Return name to version of every distribution that Python finds, by name.

    The names of their folders tell both (PyPA, "Recording installed projects"). Reading the
    metadata of some hundred distributions would take as long as a small training.
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        for name, version, _ in _in_folder(folder or os.curdir):
            found.setdefault(name, version)
    return dict(sorted(found.items()))


def installed_files(folders: Sequence[str]) -> dict[str, str]:
    """Return name to digest of the files of every distribution, as its RECORD lists them, by name.

    The first of the same name counts, as for Python. Two environments into which the same wheels
    were installed have the same digests. A distribution without a RECORD, such as one that another
    package manager has installed, has its version.
    """
    found: dict[str, str] = {}
    for folder in folders:
        for name, version, info in _in_folder(folder or os.curdir):
            if name not in found:
                found[name] = _digest_of_files(Path(folder, info), version)
    return dict(sorted(found.items()))


def normalized_name(name: str) -> str:
    """Return the name of a distribution as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _in_folder(folder: str) -> list[tuple[str, str, str]]:
    """Return name, version and metadata folder of each distribution in a folder."""
    try:
        infos = sorted(name for name in os.listdir(folder) if name.endswith(_SUFFIX))
    except OSError:
        return []
    found = []
    for info in infos:
        name, _, version = info.removesuffix(_SUFFIX).rpartition("-")
        if name and version:
            found.append((normalized_name(name), version, info))
    return found


def _digest_of_files(info: Path, version: str) -> str:
    try:
        lines = (info / "RECORD").read_text(encoding="utf-8").splitlines()
    except OSError:
        return version
    return sha256("\n".join(sorted(filter(_is_content, lines))).encode()).hexdigest()


def _is_content(line: str) -> bool:
    """Whether a line is about a file of the wheel; scripts have the path of their environment."""
    path, digest, _ = line.rsplit(",", 2)
    return bool(digest) and not path.startswith("../") and not path.endswith(_OF_INSTALLER)
