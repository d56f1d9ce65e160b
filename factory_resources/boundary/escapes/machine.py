"""Attempts through the kernel and through other processes of the machine."""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import termios

from factory_resources.boundary.escapes.network import tcp
from factory_resources.boundary.escapes.registry import World, attempt, require
from factory_resources.boundary.syscalls import call, call_number

_NEW_USER, _NEW_NETWORK, _NEW_MOUNTS = 0x10000000, 0x40000000, 0x20000
_USER_KEYRING, _INVALIDATE_KEY = -4, 21
_ATTACH, _PEEK = 16, 2
_PIDFD_OPEN = 434
_BPF_MAP_CREATE, _BPF_ARRAY = 0, 2
_SOFTWARE_EVENT, _CPU_CLOCK = 1, 0
_USER_MODE_ONLY = 1
_AT_WORKING_DIRECTORY = -100
_READ_ONLY = 1


@attempt("the network of a process outside")
def setns(world: World) -> None:
    for pid in (world.pid, 1, os.getppid()):
        try:
            _enter(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY))
            tcp(world)
            return
        except OSError as error:
            refused = error
    raise refused


@attempt("an inherited descriptor of a network outside")
def setns_inherited(world: World) -> None:
    _enter(world.descriptors["network"])
    tcp(world)


def _enter(descriptor: int) -> None:
    call("setns", descriptor, _NEW_NETWORK)


@attempt("an inherited TCP connection")
def inherited_tcp(world: World) -> None:
    os.write(world.descriptors["tcp"], world.token.encode() + b"\n")


@attempt("an inherited unix socket")
def inherited_unix(world: World) -> None:
    os.write(world.descriptors["unix"], world.token.encode() + b"\n")


@attempt("standard input that is a socket")
def inherited_stdin(world: World) -> None:
    os.write(0, world.token.encode() + b"\n")


@attempt("the memory of a process, by ptrace", proof="returned")
def ptrace(world: World) -> None:
    call("ptrace", _ATTACH, world.pid, 0, 0)
    os.waitpid(world.pid, 0x40000000)  # __WALL: it is no child
    word = ctypes.create_string_buffer(8)
    call("ptrace", _PEEK, world.pid, world.secret_at, word)
    require(word.raw == world.secret.encode()[:8], "another secret")


@attempt("the memory of a process, by process_vm_readv", proof="returned")
def process_vm(world: World) -> None:
    size = len(world.secret)
    found = ctypes.create_string_buffer(size)
    ours = struct.pack("QQ", ctypes.addressof(found), size)
    theirs = struct.pack("QQ", world.secret_at, size)
    call("process_vm_readv", world.pid, ours, 1, theirs, 1, 0)
    require(found.raw == world.secret.encode(), "another secret")


@attempt("the memory of a process, by /proc", proof="returned")
def process_memory(world: World) -> None:
    with open(f"/proc/{world.pid}/mem", "rb") as file:
        file.seek(world.secret_at)
        require(file.read(len(world.secret)) == world.secret.encode(), "another secret")


@attempt("a descriptor of a process", proof="returned")
def process_descriptor(world: World) -> None:
    pidfd = call_number(_PIDFD_OPEN, world.pid, 0)
    os.close(call("pidfd_getfd", pidfd, 1, 0))


@attempt("a signal to a process", proof="returned")
def process_signal(world: World) -> None:
    os.kill(world.pid, signal.SIGCONT)


@attempt("System V shared memory", proof="returned")
def system_v_memory(world: World) -> None:
    found = ctypes.CDLL(None, use_errno=True).shmget(world.memory_key, 4096, 0)
    require(found >= 0, os.strerror(ctypes.get_errno()))


@attempt("a key in the user's keyring", proof="returned")
def keyring(world: World) -> None:
    content = world.token.encode()
    key = call("add_key", b"user", content, content, len(content), _USER_KEYRING)
    call("keyctl", _INVALIDATE_KEY, key)


@attempt("a mount", proof="returned")
def mount(world: World) -> None:
    place = os.fsencode(f"{world.folder}/empty")
    call("mount", b"none", place, b"tmpfs", 0, None)
    call("umount2", place, 0)


@attempt("a mount made writable again", proof="returned")
def mount_writable(world: World) -> None:
    attributes = struct.pack("QQQQ", 0, _READ_ONLY, 0, 0)
    call("mount_setattr", _AT_WORKING_DIRECTORY, b"/", 0, attributes, len(attributes))


@attempt("a new root", proof="returned")
def chroot(world: World) -> None:
    call("chroot", os.fsencode(world.folder))


@attempt("a user namespace, in which one is root", proof="returned")
def user_namespace(_: World) -> None:
    call("unshare", _NEW_USER | _NEW_MOUNTS)


@attempt("a user namespace of a child", proof="returned")
def user_namespace_of_child(_: World) -> None:
    child = call("clone", _NEW_USER | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


@attempt("a user namespace by clone3", proof="returned")
def user_namespace_by_clone3(_: World) -> None:
    arguments = struct.pack("8Q", _NEW_USER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    child = call("clone3", arguments, len(arguments))
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


@attempt("a program in the kernel", proof="returned")
def bpf(_: World) -> None:
    array_of_one = struct.pack("IIII", _BPF_ARRAY, 4, 4, 1).ljust(128, b"\0")
    os.close(call("bpf", _BPF_MAP_CREATE, array_of_one, len(array_of_one)))


@attempt("measuring other processes", proof="returned")
def perf(_: World) -> None:
    attributes = struct.pack("IIQ", _SOFTWARE_EVENT, 128, _CPU_CLOCK).ljust(128, b"\0")
    os.close(call("perf_event_open", attributes, os.getpid(), -1, -1, 0))


@attempt("holding up the kernel", proof="returned")
def userfaultfd(_: World) -> None:
    os.close(call("userfaultfd", _USER_MODE_ONLY))


@attempt("a file by its handle", proof="returned")
def file_handle(world: World) -> None:
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 136)
    mounted = ctypes.create_string_buffer(4)
    path = os.fsencode(f"{world.folder}/secret")
    call("name_to_handle_at", _AT_WORKING_DIRECTORY, path, handle, mounted, 0)
    folder = os.open(world.folder, os.O_RDONLY)
    os.close(call("open_by_handle_at", folder, handle, os.O_RDONLY))


@attempt("typing into a terminal", proof="returned")
def type_into_terminal(_: World) -> None:
    terminal = os.openpty()[1]
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    fcntl.ioctl(terminal, termios.TIOCSTI, b"x")


@attempt("typing into a terminal, with a request that no filter knows", proof="returned")
def type_with_high_bits(_: World) -> None:
    terminal = os.openpty()[1]
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    call("ioctl", terminal, termios.TIOCSTI | 1 << 32, b"x")


@attempt("descriptors sent by a process outside", proof="returned")
def sent_descriptors(world: World) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(3)
        one.connect(f"{world.folder}/descriptors.sock")
        _, passed, *_ = socket.recv_fds(one, 1, 1)
        require(bool(passed), "nothing was sent")
