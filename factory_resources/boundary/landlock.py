"""Landlock: what may be read and written, and who may be reached within this machine.

It stands behind the mounts of `filesystem`, and alone where namespaces are refused.
"""

import os
import stat
import struct
from collections.abc import Iterable

from factory_resources.boundary.syscalls import call, forbid_new_privileges

_ASK_VERSION, _BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER = 0x1, 0x2, 0x4, 0x8
_READ = _EXECUTE | _READ_FILE | _READ_FOLDER
_MAKE_AND_REMOVE = 0x1FF0
_REFER, _TRUNCATE = 0x2000, 0x4000
_SCOPES = 0x3
"""Abstract unix sockets and signals, both only within the boundary."""


def abi() -> int:
    """Return the version that the kernel has; 0 if it has none."""
    try:
        return call("landlock_create_ruleset", None, 0, _ASK_VERSION)
    except OSError:
        return 0


def limit_files(writable: Iterable[str], readable: Iterable[str]) -> int:
    """Let this process and all that it starts use these paths only, for good.

    Neither can they send signals, look into processes or reach abstract unix sockets outside, as
    far as the kernel's version goes.

    Args:
        writable: folders and files to read and write; those that do not exist are passed over.
        readable: likewise, to read and execute only.

    Returns:
        The version of Landlock; 0 if the kernel has none, and nothing was limited.
    """
    version = abi()
    if not version:
        return 0
    rights = _READ | _WRITE_FILE | _MAKE_AND_REMOVE
    rights |= (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    ruleset = call("landlock_create_ruleset", *_sized(version, rights), 0)
    for path in readable:
        _allow(ruleset, path, _READ)
    for path in writable:
        _allow(ruleset, path, rights)
    forbid_new_privileges()
    call("landlock_restrict_self", ruleset, 0)
    os.close(ruleset)
    return version


def _sized(version: int, rights: int) -> tuple[bytes, int]:
    """Return the attributes of a ruleset: as many as this version knows."""
    fields = 3 if version >= 6 else 2 if version >= 4 else 1
    return struct.pack(f"{fields}Q", *(rights, 0, _SCOPES)[:fields]), 8 * fields


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        rights &= _EXECUTE | _READ_FILE | _WRITE_FILE | _TRUNCATE
    call("landlock_add_rule", ruleset, _BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    os.close(descriptor)
