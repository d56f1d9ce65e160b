"""The account that this process runs as, whatever its environment says."""

import os


def account_name() -> str:
    """Return the name of the account, or its number if it has none, as in some containers."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
