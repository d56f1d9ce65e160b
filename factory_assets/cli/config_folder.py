"""Where a user's own settings are, which are not those of the factory."""

import os
from pathlib import Path

from factory_resources.errors import SettingError


def config_folder(remedy: str) -> Path:
    """Return XDG_CONFIG_HOME, else `.config` in the folder of the user.

    Raises:
        SettingError: that folder is not known, as in a container with a user without a name.
    """
    found = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    if found.startswith("~"):
        raise SettingError(
            "the folder of this user is not known", where="HOME", remedy=f"set it, or {remedy}"
        )
    return Path(found)
