"""An allowed address can be reached, nothing else can, and the bytes are counted."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from factory_resources.boundary.addresses import AllowedAddress, resolve
from factory_resources.boundary.forwarder import Forwarder
from factory_resources.boundary.inside import NOT_SET_UP
from factory_resources.home.home import PROJECT
from tests.factory_resources.boundary.inside import boundary, python, run_inside
from tests.factory_resources.boundary.machine import needs_namespaces
from tests.running_factory import free_port

_MANY = 300


class Server:
    """Serves each connection by a function, in a thread."""

    def __init__(self, serve: Callable[[socket.socket], None], family: int) -> None:
        self._serve = serve
        host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        self._listener = socket.create_server((host, 0), family=family, backlog=_MANY)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(one,), daemon=True).start()

    def _converse(self, one: socket.socket) -> None:
        with one:
            self._serve(one)

    def close(self) -> None:
        # Closing it would not wake who accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _echo(one: socket.socket) -> None:
    while content := one.recv(1 << 16):
        one.sendall(content)


def _count(one: socket.socket) -> None:
    """Answer with the number of bytes, after the last one."""
    size = 0
    while content := one.recv(1 << 20):
        size += len(content)
    one.sendall(str(size).encode())


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers = []

    def start(how: Callable[[socket.socket], None] = _echo, family: int = socket.AF_INET) -> Server:
        servers.append(Server(how, family))
        return servers[-1]

    yield start
    for one in servers:
        one.close()


_ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as one:
    one.sendall(b"question")
    print(one.recv(100).decode())
"""


@needs_namespaces
def test_an_allowed_address_answers_and_its_bytes_are_counted(
    serve: Callable[..., Server], folder: Path
) -> None:
    port = serve().port
    within = boundary(allow=(f"127.0.0.1:{port}",))
    ended = run_inside(within, python(_ASK, "127.0.0.1", str(port)), folder)
    assert ended.output == "question\n"
    assert ended.report
    [traffic] = ended.report.traffic
    assert (traffic.address, traffic.ip) == (f"127.0.0.1:{port}", "127.0.0.1")
    assert (traffic.connections, traffic.sent, traffic.received) == (1, 8, 8)
    assert traffic.error == ""


@needs_namespaces
def test_another_port_and_another_address_do_not_answer(
    serve: Callable[..., Server], folder: Path
) -> None:
    allowed, other = serve().port, serve().port
    within = boundary(allow=(f"127.0.0.1:{allowed}",))
    for host, port, refused in (
        ("127.0.0.1", other, "Connection refused"),
        ("127.0.0.2", allowed, "Connection refused"),
        ("192.0.2.7", allowed, "Network is unreachable"),
    ):
        ended = run_inside(within, python(_ASK, host, str(port)), folder)
        assert refused in ended.errors
        assert ended.report
        assert ended.report.traffic[0].connections == 0


@needs_namespaces
def test_a_name_is_resolved_outside_and_known_inside(
    serve: Callable[..., Server], folder: Path
) -> None:
    port = serve().port
    host = socket.gethostname()
    try:
        resolve(f"{host}:{port}")
    except ValueError:
        host = "localhost"
    within = boundary(allow=(f"{host}:{port}",))
    script = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"
    ended = run_inside(within, python(script, host), folder)
    assert ended.report
    assert ended.output.strip() == ended.report.traffic[0].ip


@pytest.mark.parametrize(
    "text", ["0.0.0.0:5432", "[::]:5432", "255.255.255.255:80", "[ff02::1]:80"]
)
def test_an_address_of_no_machine_is_refused(text: str, folder: Path) -> None:
    ended = run_inside(boundary(level="auto", allow=(text,)), ["true"], folder)
    assert (ended.code, ended.report) == (NOT_SET_UP, None)
    assert ended.errors.startswith(f"boundary: '{text}': ")
    assert "is the address of no machine" in ended.errors


def test_a_name_that_cannot_be_looked_up_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    monkeypatch.setattr(socket, "getaddrinfo", Mock(side_effect=unknown))
    told = r"^'db.invalid:5432': the name cannot .* \(Name or service not known\); correct it"
    with pytest.raises(ValueError, match=told):
        resolve("db.invalid:5432")


_IS_ALLOWED = """
import sys
sys.path.append(sys.argv[1])
from factory_resources.boundary.inside import is_allowed
print([is_allowed(host, 7) for host in (sys.argv[2], sys.argv[2].upper(), "127.0.0.1", "vendor")])
"""


@needs_namespaces
def test_what_is_allowed_by_its_name_is_allowed_by_its_ip_address(folder: Path) -> None:
    script = python(_IS_ALLOWED, str(PROJECT), "localhost")
    ended = run_inside(boundary(allow=("LocalHost:7",)), script, folder)
    assert ended.output == "[True, True, True, False]\n", ended.errors


@needs_namespaces
def test_two_names_of_one_address_are_both_known_inside(
    serve: Callable[..., Server], folder: Path
) -> None:
    port = serve().port
    within = boundary(allow=(f"127.0.0.1:{port}", f"localhost:{port}"))
    for host in ("127.0.0.1", "localhost"):
        ended = run_inside(within, python(_ASK, host, str(port)), folder)
        assert ended.output == "question\n"
        assert ended.report
        assert ended.report.level == "namespaces"
        [traffic] = ended.report.traffic
        assert (traffic.address, traffic.sent) == (f"127.0.0.1:{port}", 8)


@needs_namespaces
def test_ipv6_is_forwarded(serve: Callable[..., Server], folder: Path) -> None:
    port = serve(family=socket.AF_INET6).port
    within = boundary(allow=(f"[::1]:{port}",))
    ended = run_inside(within, python(_ASK, "::1", str(port)), folder)
    assert ended.output == "question\n"


@needs_namespaces
def test_a_server_that_is_away_is_told_in_the_report(folder: Path) -> None:
    port = free_port()
    within = boundary(allow=(f"127.0.0.1:{port}",))
    ended = run_inside(within, python(_ASK, "127.0.0.1", str(port)), folder)
    assert "Connection reset" in ended.errors
    assert ended.report
    [traffic] = ended.report.traffic
    assert (traffic.connections, traffic.sent) == (1, 0)
    assert "Connection refused" in traffic.error


_UPLOAD = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as one:
    one.sendall(bytes(int(sys.argv[2])))
    one.shutdown(socket.SHUT_WR)
    print(one.recv(100).decode())
"""


@needs_namespaces
def test_the_end_of_one_direction_passes_and_the_other_goes_on(
    serve: Callable[..., Server], folder: Path
) -> None:
    port, size = serve(_count).port, 3_000_001
    within = boundary(allow=(f"127.0.0.1:{port}",))
    ended = run_inside(within, python(_UPLOAD, str(port), str(size)), folder)
    assert ended.output == f"{size}\n"
    assert ended.report
    assert ended.report.traffic[0].sent == size


@needs_namespaces
def test_what_was_sent_last_arrives_after_the_command_has_ended(
    serve: Callable[..., Server], folder: Path
) -> None:
    sizes: list[int] = []

    def keep(one: socket.socket) -> None:
        size = 0
        while content := one.recv(1 << 16):
            size += len(content)
        sizes.append(size)

    port = serve(keep).port
    script = (
        "import os, socket, sys\n"
        "one = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "one.sendall(bytes(1_000_000)); os._exit(0)"
    )
    within = boundary(allow=(f"127.0.0.1:{port}",))
    assert run_inside(within, python(script, str(port)), folder).code == 0
    assert sizes == [1_000_000]


@needs_namespaces
def test_many_connections_at_once(serve: Callable[..., Server], folder: Path) -> None:
    port = serve().port
    script = f"""
import socket, sys
many = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range({_MANY})]
for number, one in enumerate(many):
    one.sendall(str(number).encode())
print(all(one.recv(10) == str(number).encode() for number, one in enumerate(many)))
"""
    within = boundary(allow=(f"127.0.0.1:{port}",))
    ended = run_inside(within, python(script, str(port)), folder)
    assert ended.output == "True\n", ended.errors
    assert ended.report
    assert ended.report.traffic[0].connections == _MANY


def test_a_client_that_goes_away_ends_the_connection_of_the_server(
    serve: Callable[..., Server],
) -> None:
    gone = threading.Event()

    def talk(one: socket.socket) -> None:
        try:
            while True:
                one.sendall(bytes(1 << 16))
        except OSError:
            gone.set()

    port = serve(talk).port
    listener = socket.create_server(("127.0.0.1", 0))
    forwarder = Forwarder(AllowedAddress("127.0.0.1", port, "127.0.0.1"), listener)
    with socket.create_connection(listener.getsockname()) as client:
        client.recv(1)
    assert gone.wait(20)
    assert forwarder.traffic().connections == 1


def test_a_server_that_is_silent_is_asked_whether_it_is_there(serve: Callable[..., Server]) -> None:
    port = serve().port
    listener = socket.create_server(("127.0.0.1", 0))
    Forwarder(AllowedAddress("127.0.0.1", port, "127.0.0.1"), listener)
    with socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"?")
        assert client.recv(1) == b"?"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        [timer] = [row[5] for row in rows if row[2].endswith(f":{port:04X}") and row[3] == "01"]
    kind, ticks = timer.split(":")
    # Of the client, the machine's own kernel answers the questions, whatever became of the server.
    assert kind == "02", "no timer of keepalive"
    assert int(ticks, 16) <= 30 * os.sysconf("SC_CLK_TCK")


_SEGMENTS = """
import socket, struct
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as kernel:
    kernel.send(struct.pack("IHHIIBxHiII", 32, 18, 1, 1, 0, 0, 0, 1, 0, 0))
    answer = kernel.recv(1 << 16)
at, found = 32, {}
while at < struct.unpack_from("I", answer)[0]:
    size, kind = struct.unpack_from("HH", answer, at)
    found[kind] = answer[at + 4 : at + size]
    at += size + -size % 4
print(*[struct.unpack("I", found[kind])[0] for kind in (63, 41) if kind in found])
"""


@needs_namespaces
def test_tcp_inside_passes_on_much_at_once(folder: Path) -> None:
    done = run_inside(boundary(), python(_SEGMENTS), folder)
    assert done.code == 0, done.errors
    release = tuple(map(int, os.uname().release.split(".")[:2]))
    assert done.output.split().count("524280") == (release >= (6, 3)) + (release >= (5, 19))
