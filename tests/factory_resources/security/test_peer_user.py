"""Who is at the other end of a connection: own users, others, and ends that are closed."""

import os
import socket
import sys
from pathlib import Path

import pytest

from factory_resources.security import peer_user as module
from factory_resources.security.peer_user import (
    End,
    Peer,
    find_user,
    look_up_user,
    peer_user,
    read_user,
)
from tests.loopback import OTHER, Connected, connected, needs_root, run_as

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")

HOSTS = ("127.0.0.1", "::1", "mapped")

LOOPBACK = {
    "127.0.0.1": bytes([127, 0, 0, 1]),
    "::1": bytes(15) + b"\1",
    "mapped": bytes([127, 0, 0, 1]),
}


def ends(host: str, both: Connected) -> tuple[End, End]:
    """Return the client's end and the server's."""
    client, server = both.client.getsockname()[1], both.server.getsockname()[1]
    return End(LOOPBACK[host], client), End(LOOPBACK[host], server)


@pytest.mark.parametrize("host", HOSTS)
def test_ones_own_connection_is_recognized(host: str) -> None:
    with connected(host) as both:
        assert peer_user(both.server) == peer_user(both.client) == os.geteuid()
        assert Peer(both.server).is_own


@pytest.mark.parametrize("host", HOSTS)
def test_the_kernel_and_its_table_say_the_same(host: str) -> None:
    with connected(host) as both:
        found = ends(host, both)
        assert look_up_user(*found) == read_user(*found) == os.geteuid()


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("lingers", [True, False])
def test_an_end_that_was_closed_is_nobodys(host: str, lingers: bool) -> None:
    with connected(host) as both:
        found = ends(host, both)
        if not lingers:
            both.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        both.client.close()
        assert peer_user(both.server) is None
        assert not Peer(both.server).is_own
        assert find_user(*found) is None
        assert read_user(*found) is None


def test_an_end_in_time_wait_is_not_roots() -> None:
    with connected() as both:
        client, server = ends("127.0.0.1", both)
        both.client.close()
        both.server.close()
        # The kernel still lists the first that was closed, as of user 0.
        assert find_user(client, server) is None
        assert read_user(client, server) is None


def test_a_socket_that_listens_on_the_port_is_not_the_other_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        local = End(LOOPBACK["127.0.0.1"], listening.getsockname()[1])
        remote = End(LOOPBACK["127.0.0.1"], 9)
        assert look_up_user(local, remote) is None
        assert read_user(local, remote) is None


def test_a_connection_that_is_closed_here_has_no_other_end() -> None:
    with connected() as both:
        both.server.close()
        assert peer_user(both.server) is None


def test_the_kernel_is_asked_once_and_not_before_somebody_wants_to_know() -> None:
    with connected() as both:
        asked, not_asked = Peer(both.server), Peer(both.server)
        assert asked.is_own
        both.client.close()
        assert asked.is_own
        assert not not_asked.is_own


class Remembered:
    """A socket of an event loop, which keeps the names of its ends after its connection is over."""

    def __init__(self, connection: socket.socket) -> None:
        self.names = connection.getsockname(), connection.getpeername()
        self.getsockopt = connection.getsockopt

    def getsockname(self) -> tuple[str | int, ...]:
        return self.names[0]

    def getpeername(self) -> tuple[str | int, ...]:
        return self.names[1]


def test_a_later_connection_with_the_same_ends_is_another_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        with socket.create_connection(address) as first:
            port = first.getsockname()[1]
            first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            server, _ = listening.accept()
            left = Remembered(server)
        with socket.create_connection(address, source_address=("127.0.0.1", port)), server:
            local, remote = (End(LOOPBACK["127.0.0.1"], one) for one in (port, address[1]))
            assert find_user(local, remote) == os.geteuid()
            assert peer_user(left) is None


@pytest.mark.parametrize("host", HOSTS)
def test_without_a_look_up_the_table_is_read(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # As in a sandbox without netlink.
    monkeypatch.setattr(module, "_SOCK_DIAG", 31)
    with connected(host) as both:
        with pytest.raises(OSError, match="rotocol"):
            look_up_user(*ends(host, both))
        assert peer_user(both.server) == os.geteuid()


def test_without_look_up_and_table_nobody_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "_SOCK_DIAG", 31)
    with connected() as both:
        assert read_user(*ends("127.0.0.1", both), (tmp_path / "tcp",)) is None


def test_on_another_system_nobody_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    with connected() as both:
        monkeypatch.setattr(sys, "platform", "darwin")
        assert peer_user(both.server) is None


@needs_root
@pytest.mark.parametrize("host", HOSTS)
def test_another_user_is_recognized_as_such(host: str) -> None:
    with connected(host) as both:
        os.fchown(both.client.fileno(), OTHER, OTHER)
        assert look_up_user(*ends(host, both)) == read_user(*ends(host, both)) == OTHER
        assert not Peer(both.server).is_own


ITS_OWN = "with loopback.connected() as both: print(Peer(both.server).is_own)"


@needs_root
@pytest.mark.parametrize(("user", "is_own"), [(OTHER, True), (65534, False)])
def test_a_user_without_rights_knows_itself_but_nobody_may_be_anybody(
    user: int, is_own: bool
) -> None:
    assert run_as(user, ITS_OWN) == f"{is_own}\n"


@needs_root
def test_root_is_recognized_by_a_server_of_another_user() -> None:
    # The child opens both ends before it gives up its rights.
    code = f"os.seteuid({OTHER}); print(Peer(both.server).is_own)"
    assert run_as(0, f"with loopback.connected() as both: {code}") == "True\n"
