"""Secrets by name. Values come from the environment or a file, and go only to the system that
requires them.
"""

import os
import re
import shlex
import stat
from pathlib import Path

from factory_resources.errors import SourceError
from factory_resources.home.home import Home

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def secret(name: str, home: Home) -> str:
    """Return the value of a secret.

    It is the environment variable of that name, else the content of the file of that name in the
    folder FACTORY_SECRETS (default: `secrets` in the home).

    Raises:
        SourceError: there is no such secret, or other users may read its file. The message never
            contains the value.
    """
    if not _NAME.match(name):
        raise SourceError(
            f"{name!r} is not a secret's name", remedy="use letters, digits and underscores"
        )
    # As in a file, a line break at the end is none of it: Secrets of Kubernetes mostly have one.
    if value := os.environ.get(name, "").rstrip("\r\n"):
        return value
    path = folder(home) / name
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise FileNotFoundError
        if mode & stat.S_IRWXO:
            raise SourceError(
                f"secret {name} is in a file that every user may read",
                where=str(path),
                remedy=f"chmod 600 {shlex.quote(str(path))}",
            )
        value = path.read_text(encoding="utf-8").rstrip("\r\n")
    except FileNotFoundError as error:
        raise SourceError(
            f"secret {name} is not set",
            remedy=f"set the environment variable {name}, or write the value into {path}",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SourceError(
            f"secret {name} cannot be read ({reason})", where=str(path), remedy="check the file"
        ) from None
    if not value:
        raise SourceError(f"secret {name} is empty", where=str(path), remedy="write its value")
    return value


def folder(home: Home) -> Path:
    """Return the folder of the secrets' files."""
    declared = os.environ.get("FACTORY_SECRETS")
    return Path(os.path.expanduser(declared)) if declared else home.path / "secrets"
