"""What prediction servers that run could not load, so that other processes can say so.

Each server has a file in the scratch folder, which counts as long as the server lives.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from factory_resources.home.garbage import has_ended
from factory_resources.home.home import Home, scratch_prefix

_NAME = "serving-faults.json"


def write_serving_faults(home: Home, faults: Mapping[str, str]) -> None:
    """Store why this process could not load the champion of each pipeline.

    Raises:
        StorageError: the file cannot be written.
    """
    home.write_atomic(_own_file(home), json.dumps(dict(faults)).encode())


def forget_serving_faults(home: Home) -> None:
    """Remove the file of this process, if there is one."""
    _own_file(home).unlink(missing_ok=True)


def serving_faults(home: Home) -> dict[str, str]:
    """Return by pipeline why a server that runs could not load its champion."""
    found: dict[str, str] = {}
    for file in sorted(home.tmp.glob(f"*-{_NAME}")):
        if has_ended(home, file):
            continue
        try:
            found |= json.loads(file.read_bytes())
        except (OSError, ValueError):
            # The server ends, or the file was damaged; nobody but the server can say more.
            continue
    return found


def _own_file(home: Home) -> Path:
    return home.tmp / f"{scratch_prefix()}{_NAME}"
