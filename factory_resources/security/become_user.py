"""Become an ordinary user for good: root, whom no boundary holds, should run nothing."""

import os
import shlex
from pathlib import Path

from factory_resources.errors import SettingError, StorageError
from factory_resources.home.home import Home


def become_user(name: str, home: Home) -> None:
    """Make this process that of a user; a new home becomes theirs.

    Raises:
        SettingError: there is no such user, it is root, or this process may not become another.
        StorageError: the home is somebody else's, or cannot be made.
    """
    import pwd

    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise SettingError(
            f"there is no user {name!r}", where="--user", remedy="name a user of this system"
        ) from None
    if user.pw_uid == 0:
        raise SettingError(
            "root is no ordinary user", where="--user", remedy="name a user of the factory's own"
        )
    if os.geteuid() == user.pw_uid:
        return
    if os.geteuid() != 0:
        raise SettingError(
            f"only root can become {name!r}", where="--user", remedy="leave --user out"
        )
    _give(home.path, user.pw_uid, user.pw_gid, name)
    os.initgroups(name, user.pw_gid)
    os.setresgid(*[user.pw_gid] * 3)
    os.setresuid(*[user.pw_uid] * 3)
    os.environ.update(HOME=user.pw_dir, USER=name, LOGNAME=name)


def _give(folder: Path, user: int, group: int, name: str) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            os.chown(folder, user, group)
        owner = folder.stat().st_uid
    except OSError as error:
        raise StorageError(
            f"cannot be made ({error.strerror})",
            where=str(folder),
            remedy="name another folder in FACTORY_HOME",
        ) from error
    if owner != user:
        raise StorageError(
            f"this home is not that of the user {name!r}",
            where=str(folder),
            remedy=f"stop what works on it, and give it to them: chown -R {name} "
            f"{shlex.quote(str(folder))}",
        )
