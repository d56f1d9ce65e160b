"""The filter of system calls: which are refused, and why.

It is a program of classic BPF, assembled here, so that libseccomp is not needed. What the refused
calls would reach is tried by `probe` and `escapes`.
"""

import ctypes
import errno
import struct

from factory_resources.boundary.syscalls import MACHINE, call, forbid_new_privileges, number

REFUSED = {
    "other namespaces and mounts": (
        *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "fsopen", "fspick"),
        *("open_tree", "open_tree_attr", "move_mount", "mount_setattr"),
    ),
    "files by handle, past the paths": ("open_by_handle_at", "name_to_handle_at"),
    "memory and descriptors of other processes": (
        *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"),
    ),
    "keys that other processes share": ("keyctl", "add_key", "request_key"),
    "programs in the kernel, and views of it": (
        *("bpf", "userfaultfd", "perf_event_open", "fanotify_init", "syslog"),
    ),
}
"""Calls that fail with EPERM, by what they would reach."""

SHARED = (
    *("shmget", "shmat", "shmctl", "msgget", "msgsnd", "msgrcv", "msgctl"),
    *("semget", "semop", "semtimedop", "semctl", "mq_open"),
)
"""Calls that fail with EPERM where there is no namespace of IPC: by these, all processes of a user
find each other, or use by its number what another one has made."""

ABSENT = ("io_uring_setup", "io_uring_enter", "io_uring_register", "clone3")
"""Calls that fail with ENOSYS, so that libraries take the older way: io_uring opens sockets past
this filter, and the flags of clone3 are in memory, where no filter can read them."""

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_NETLINK_ROUTE = 0
_STREAM, _DATAGRAM, _TYPE_MASK = 1, 2, 0xF
_ALL_NEW_NAMESPACES = 0x7E020000
_TERMINAL_INPUT, _CONSOLE = 0x5412, 0x541C
"""TIOCSTI and TIOCLINUX type into a terminal, where a shell outside reads it."""

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000
_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x54, 0x06
_CALL, _ABI, _FIRST, _SECOND, _THIRD = 0, 4, 16, 24, 32
"""Offsets of struct seccomp_data; of an argument, its low word."""
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_SET_FILTER, _ALL_THREADS = 1, 1


class _Program:
    """Instructions of classic BPF, with jumps over what follows."""

    def __init__(self) -> None:
        self.code = b""

    def add(self, operation: int, value: int, if_true: int = 0, if_false: int = 0) -> None:
        """Append an instruction; the jumps are numbers of instructions to skip."""
        self.code += struct.pack("HBBI", operation, if_true, if_false, value)

    def load(self, offset: int) -> None:
        self.add(_LOAD, offset)

    def allow(self) -> None:
        self.add(_RETURN, _ALLOW)

    def fail(self, code: int) -> None:
        self.add(_RETURN, _FAIL | code)

    def fail_if(self, test: int, value: int, code: int) -> None:
        """Fail if the loaded word passes the test, else go on."""
        self.add(test, value, 0, 1)
        self.fail(code)

    def block_if(self, value: int, block: "_Program") -> None:
        """Run the block, which returns, if the loaded word equals the value, else go on."""
        self.add(_EQUAL, value, 0, len(block.code) // 8)
        self.code += block.code


def assemble(*, in_namespaces: bool, machine: str = MACHINE) -> bytes:
    """Return the filter.

    Args:
        in_namespaces: whether TCP and UDP sockets may be made, and IPC of System V, because they
            stay in namespaces without a way out. Otherwise no socket of an internet family can be.
    """
    program = _Program()
    program.load(_ABI)
    program.add(_EQUAL, _ARCHITECTURES[machine], 1, 0)
    program.fail(errno.EPERM)  # the calls of 32-bit programs have other numbers
    program.load(_CALL)
    if machine == "x86_64":
        program.fail_if(_AT_LEAST, _X32, errno.EPERM)
    for names in (*REFUSED.values(), () if in_namespaces else SHARED):
        for name in names:
            program.fail_if(_EQUAL, number(name, machine), errno.EPERM)
    for name in ABSENT:
        program.fail_if(_EQUAL, number(name, machine), errno.ENOSYS)
    program.block_if(number("clone", machine), _clone())
    program.block_if(number("ioctl", machine), _ioctl())
    program.block_if(number("socketpair", machine), _socketpair())
    program.block_if(number("socket", machine), _socket(internet=in_namespaces))
    program.allow()
    return program.code


def _clone() -> _Program:
    block = _Program()
    block.load(_FIRST)
    block.fail_if(_ANY_BIT, _ALL_NEW_NAMESPACES, errno.EPERM)
    block.allow()
    return block


def _ioctl() -> _Program:
    block = _Program()
    block.load(_SECOND)
    block.fail_if(_EQUAL, _TERMINAL_INPUT, errno.EPERM)
    block.fail_if(_EQUAL, _CONSOLE, errno.EPERM)
    block.allow()
    return block


def _socketpair() -> _Program:
    block = _Program()
    block.load(_FIRST)
    block.add(_EQUAL, _AF_UNIX, 1, 0)
    block.fail(errno.EAFNOSUPPORT)
    block.allow()
    return block


def _socket(*, internet: bool) -> _Program:
    """Allow unix sockets, the list of interfaces, and TCP and UDP if asked for."""
    netlink = _Program()
    netlink.load(_THIRD)
    netlink.add(_EQUAL, _NETLINK_ROUTE, 1, 0)
    netlink.fail(errno.EPROTONOSUPPORT)
    netlink.allow()

    block = _Program()
    block.load(_FIRST)
    block.add(_EQUAL, _AF_UNIX, 0, 1)
    block.allow()
    block.block_if(_AF_NETLINK, netlink)
    if not internet:
        block.fail(errno.EACCES)
        return block
    block.add(_EQUAL, _AF_INET, 2, 0)
    block.add(_EQUAL, _AF_INET6, 1, 0)
    block.fail(errno.EAFNOSUPPORT)
    block.load(_SECOND)
    block.add(_AND, _TYPE_MASK)  # without SOCK_CLOEXEC and SOCK_NONBLOCK
    block.add(_EQUAL, _STREAM, 2, 0)
    block.add(_EQUAL, _DATAGRAM, 1, 0)
    block.fail(errno.EPERM)
    block.allow()
    return block


def install(program: bytes) -> None:
    """Put the filter on this process and all that it starts; it cannot be taken off.

    Raises:
        OSError: the kernel has no seccomp.
    """
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    forbid_new_privileges()
    call("seccomp", _SET_FILTER, _ALL_THREADS, header)
