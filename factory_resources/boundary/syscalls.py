"""System calls that Python has no function for, on x86-64 and aarch64.

What a call is for belongs in the module that makes it.
"""

import ctypes
import os
import signal
import struct
import sys

MACHINE = os.uname().machine if os.name == "posix" else ""
_X86, _ARM = "x86_64", "aarch64"
IS_SUPPORTED = sys.platform == "linux" and MACHINE in (_X86, _ARM)

NUMBERS = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "capset": (126, 91),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "close_range": (436, 436),
    "fanotify_init": (300, 262),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "kcmp": (312, 272),
    "keyctl": (250, 219),
    "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "mq_open": (240, 180),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "request_key": (249, 218),
    "seccomp": (317, 277),
    "semctl": (66, 191),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "setns": (308, 268),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmget": (29, 194),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
"""Of each call, the number on x86-64 and on aarch64."""

_SET_DEATH_SIGNAL, _SET_DUMPABLE, _DROP_BOUNDING = 1, 4, 24
_SET_CHILD_SUBREAPER, _NO_NEW_PRIVILEGES = 36, 38
_CAPABILITIES = 41
"""How many there are; dropping one that the kernel does not have fails without harm."""
_CLOSE_ON_EXEC = 4
_CAPABILITY_VERSION = 0x20080522

# It holds the interpreter's lock through the call: `clone` must not return in a child without it.
_libc = ctypes.PyDLL(None, use_errno=True)


def number(name: str, machine: str = MACHINE) -> int:
    """Return the number of a system call."""
    return NUMBERS[name][0 if machine == _X86 else 1]


def call(name: str, *arguments: object) -> int:
    """Make a system call; an integer is passed as a long, bytes as a pointer.

    Raises:
        OSError: the kernel refused it.
    """
    return call_number(number(name), *arguments)


def call_number(nr: int, *arguments: object) -> int:
    """Make the system call with this number; see `call`."""
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = int(_libc.syscall(ctypes.c_long(nr), *passed))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _prctl(option: int, value: int) -> None:
    arguments = [ctypes.c_ulong(one) for one in (value, 0, 0, 0)]
    if _libc.prctl(option, *arguments) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def die_with_parent(sent: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent ends, however it ends."""
    _prctl(_SET_DEATH_SIGNAL, sent)


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def set_dumpable(allowed: bool) -> None:
    """Let processes of the same user look into this one, or not."""
    _prctl(_SET_DUMPABLE, int(allowed))


def forbid_new_privileges() -> None:
    """Make set-user-ID programs run as nobody else, for this process and all that it starts."""
    _prctl(_NO_NEW_PRIVILEGES, 1)


def bound_capabilities() -> None:
    """Keep every capability from all programs that are started, also those with one in a file."""
    for capability in range(_CAPABILITIES):
        try:
            _prctl(_DROP_BOUNDING, capability)
        except OSError:
            return  # an ordinary user has none to give up, and with no new privileges gets none


def drop_capabilities() -> None:
    """Give up every capability, for good."""
    call("capset", struct.pack("Ii", _CAPABILITY_VERSION, 0), bytes(24))


def fork_into(flags: int) -> int:
    """Fork into new namespaces; return 0 in the child, which is process 1 of its own if asked for.

    The caller must have no other thread.

    Raises:
        OSError: the kernel does not let this user make these namespaces.
    """
    return call("clone", flags | signal.SIGCHLD, 0, 0, 0, 0)


def close_descriptors_on_exec() -> None:
    """Keep every descriptor but standard input, output and error from the next program."""
    call("close_range", 3, 0xFFFFFFFF, _CLOSE_ON_EXEC)


def mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    """Call mount(2).

    Raises:
        OSError: it was refused; it names the target.
    """
    texts = [None if one is None else os.fsencode(one) for one in (source, target, kind)]
    try:
        call("mount", *texts, flags, None if data is None else os.fsencode(data))
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"mount {target}") from None


def mount_attributes(target: str, added: int, removed: int, recursive: bool = False) -> None:
    """Call mount_setattr(2) on what is mounted on `target`.

    Raises:
        OSError: it was refused; it names the target.
    """
    at_working_directory, recurse = -100, 0x8000
    attributes = struct.pack("QQQQ", added, removed, 0, 0)
    flags = recurse if recursive else 0
    try:
        call("mount_setattr", at_working_directory, os.fsencode(target), flags, attributes, 32)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"mount_setattr {target}") from None
