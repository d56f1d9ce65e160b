"""The files that a manifest lists, as it is now.

Whether they are the ones of a version is for whoever compares the manifest with the ledger.
"""

import json
from pathlib import Path

from factory_resources.errors import ModelError


def listed_files(manifest: Path, where: str) -> dict[str, str]:
    """Return the names of the files with their SHA-256.

    Args:
        where: the model version, for the error message.

    Raises:
        ModelError: the manifest is missing or damaged.
    """
    try:
        listed = json.loads(manifest.read_bytes())
        if not isinstance(listed, dict) or any("/" in name for name in listed):
            raise ValueError("no list of files")
        return {name: str(digest) for name, digest in listed.items()}
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{manifest.name} is missing or damaged",
            where=where,
            remedy="factory verify shows what else does not hold",
        ) from error
