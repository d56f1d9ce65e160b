"""Whose the files are that root makes in the home of another user: that user's.

Which commands root may not give there belongs in `factory_resources.instance`.
"""

import os
from contextlib import suppress
from pathlib import Path


def make_for_owner(file: Path) -> None:
    """Make an empty file, if this is root, for the user whose folder it is in.

    Otherwise that user could not take a lock that root was the first to take. Nothing happens if
    the file is there, or its folder is root's or a link.
    """
    if os.geteuid():
        return
    # Root may lack the right to give files away, as in a container or on a network disk.
    with suppress(OSError):
        folder = os.open(file.parent, os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            owner = os.fstat(folder)
            if owner.st_uid:
                made = os.open(file.name, os.O_CREAT | os.O_EXCL, 0o644, dir_fd=folder)
                try:
                    os.fchown(made, owner.st_uid, owner.st_gid)
                finally:
                    os.close(made)
        finally:
            os.close(folder)
