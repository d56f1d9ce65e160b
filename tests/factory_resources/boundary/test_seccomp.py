"""The filter, run by an interpreter of its own, also for a machine that is not here."""

import errno
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from factory_resources.boundary.seccomp import ABSENT, REFUSED, SHARED, assemble
from factory_resources.boundary.syscalls import IS_SUPPORTED, NUMBERS, number

_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_I386 = 0x40000003
_HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}
each_machine = pytest.mark.parametrize("machine", _MACHINES)


def _decide(program: bytes, abi: int, call: int, *arguments: int) -> int:
    """Return the error with which a call fails; 0 if it is allowed."""
    passed = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<iIQ6Q", call, abi, 0, *passed)
    code = [*struct.iter_unpack("HBBI", program)]
    at = word = 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        match operation:
            case 0x20:
                word = struct.unpack_from("<I", data, value)[0]
            case 0x15:
                at += if_true if word == value else if_false
            case 0x35:
                at += if_true if word >= value else if_false
            case 0x45:
                at += if_true if word & value else if_false
            case 0x54:
                word &= value
            case 0x06:
                return 0 if value == 0x7FFF0000 else value & 0xFFFF
            case _:
                raise AssertionError(operation)


@each_machine
def test_what_is_refused_fails_and_other_calls_do_not(machine: str) -> None:
    program = assemble(in_namespaces=True, machine=machine)
    abi = _MACHINES[machine]
    for name in NUMBERS:
        expected = 0
        if any(name in names for names in REFUSED.values()):
            expected = errno.EPERM
        elif name in ABSENT:
            expected = errno.ENOSYS
        elif name in ("socket", "socketpair"):
            expected = errno.EAFNOSUPPORT  # of a family that is none
        assert _decide(program, abi, number(name, machine)) == expected, name


@each_machine
def test_calls_of_other_machines_fail(machine: str) -> None:
    program = assemble(in_namespaces=True, machine=machine)
    [other] = _MACHINES.keys() - {machine}
    for abi in (_I386, _MACHINES[other]):
        assert _decide(program, abi, 0) == errno.EPERM
    assert _decide(program, _MACHINES[machine], 0) == 0
    if machine == "x86_64":
        assert _decide(program, _MACHINES[machine], 0x40000000) == errno.EPERM


@each_machine
@pytest.mark.parametrize(
    ("family", "kind", "protocol", "inside", "fallback"),
    [
        (socket.AF_UNIX, socket.SOCK_STREAM, 0, 0, 0),
        (socket.AF_INET, socket.SOCK_STREAM, 0, 0, errno.EACCES),
        (socket.AF_INET, socket.SOCK_STREAM | 0o2004000, 0, 0, errno.EACCES),
        (socket.AF_INET6, socket.SOCK_DGRAM, 0, 0, errno.EACCES),
        (socket.AF_INET, 3, 1, errno.EPERM, errno.EACCES),
        (16, 3, 0, 0, 0),
        (16, 3, 15, errno.EPROTONOSUPPORT, errno.EPROTONOSUPPORT),
        (17, 3, 0, errno.EAFNOSUPPORT, errno.EACCES),
        (40, 1, 0, errno.EAFNOSUPPORT, errno.EACCES),
        # The kernel looks at the low word only.
        (socket.AF_UNIX | 1 << 32, 1, 0, 0, 0),
        (40 | 1 << 32, 1, 0, errno.EAFNOSUPPORT, errno.EACCES),
    ],
)
def test_sockets(
    machine: str, family: int, kind: int, protocol: int, inside: int, fallback: int
) -> None:
    for in_namespaces, expected in ((True, inside), (False, fallback)):
        program = assemble(in_namespaces=in_namespaces, machine=machine)
        call = number("socket", machine)
        assert _decide(program, _MACHINES[machine], call, family, kind, protocol) == expected


@each_machine
def test_clone_makes_no_namespaces(machine: str) -> None:
    program = assemble(in_namespaces=True, machine=machine)
    call, abi = number("clone", machine), _MACHINES[machine]
    threads, child = 0x3D0F00, 0x1200011
    assert _decide(program, abi, call, threads) == _decide(program, abi, call, child) == 0
    for bit in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert _decide(program, abi, call, child | bit) == errno.EPERM


@each_machine
def test_nothing_is_typed_into_terminals(machine: str) -> None:
    program = assemble(in_namespaces=True, machine=machine)
    call, abi = number("ioctl", machine), _MACHINES[machine]
    assert _decide(program, abi, call, 0, 0x5413) == 0
    for request in (0x5412, 0x541C, 0x5412 | 1 << 32):
        assert _decide(program, abi, call, 0, request) == errno.EPERM


@each_machine
def test_system_v_ipc_is_refused_where_it_is_shared(machine: str) -> None:
    for in_namespaces, expected in ((True, 0), (False, errno.EPERM)):
        program = assemble(in_namespaces=in_namespaces, machine=machine)
        for name in SHARED:
            assert _decide(program, _MACHINES[machine], number(name, machine)) == expected


_ATTACH = """
import ctypes, os
from factory_resources.boundary.seccomp import assemble, install

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
segment = libc.shmget(0, 4096, 0o1600)
try:
    assert libc.shmat(segment, None, 0) != 2**64 - 1
    if not os.fork():
        install(assemble(in_namespaces=False))
        is_refused = libc.shmat(segment, None, 0) == 2**64 - 1
        print(is_refused and os.strerror(ctypes.get_errno()), flush=True)
        os._exit(0)
    os.wait()
finally:
    libc.shmctl(segment, 0, None)
"""


@pytest.mark.skipif(not IS_SUPPORTED, reason="not tested: another kernel or processor")
def test_memory_of_another_process_is_out_of_reach_by_its_number_too() -> None:
    command = [sys.executable, "-c", _ATTACH]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "Operation not permitted\n"


@each_machine
def test_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    header = Path(_HEADERS[machine])
    if not header.exists():
        pytest.skip(f"no {header}: it is in the package linux-libc-dev")
    found = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
    known = {name: int(found[name]) for name in NUMBERS if name in found}
    assert len(known) > len(NUMBERS) - 3
    assert known == {name: number(name, machine) for name in known}
