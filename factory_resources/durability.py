"""What must be on the disk before the next step: the bytes of a file, the names in a folder.

Writing a file whole or not at all belongs in `factory_resources.home`.
"""

import os
from pathlib import Path


def sync_path(path: Path) -> None:
    """Return once the bytes of a file, or the names in a folder, are on the disk.

    Raises:
        OSError: the disk cannot be written.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
