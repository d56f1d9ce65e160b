"""The parent's side of the allow-list: it accepts inside, dials one address, and counts the bytes.

It runs outside the boundary. A listener comes from inside, so nothing there can choose whom the
forwarder dials.

Passing a connected socket inside instead would save copying, and would be a way out: it belongs to
the network outside, where its owner could connect it anew, listen with it, or send by another route
when the server has hung up. No filter of system calls can tell it from a socket of the network
inside, and nobody would count its bytes.
"""

import resource
import select
import socket
import struct
import threading
import time
from collections.abc import Callable

from factory_resources.boundary.addresses import AllowedAddress
from factory_resources.boundary.report import Traffic

_DIAL_SECONDS = 10
_IDLE, _BETWEEN, _PROBES = 30, 10, 3
"""Seconds of silence after which a server is asked whether it is there, seconds between two such
questions, and how many may stay unanswered. Those of a client are answered by its own machine."""
_PATIENCE_SECONDS = 0.05
_PIECE = 256 << 10
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Forwarder:
    """Forwards the connections of one allowed address to it."""

    def __init__(self, address: AllowedAddress, listener: socket.socket) -> None:
        self.address = address
        self._listener = listener
        self._listener.setblocking(False)
        self._lock = threading.Lock()
        self._connections: list[threading.Thread] = []
        self._changing = threading.Lock()
        """Held while a connection is taken from the listener to the list."""
        self._sent = self._received = self._accepted = 0
        self._error = ""
        threading.Thread(target=self._accept, daemon=True).start()

    def traffic(self) -> Traffic:
        """Return what has passed so far."""
        with self._lock:
            return Traffic(
                str(self.address),
                self.address.ip,
                self._accepted,
                self._sent,
                self._received,
                self._error,
            )

    def drain(self, seconds: float) -> None:
        """Wait until what was sent is delivered, but no longer than this."""
        end = time.monotonic() + seconds
        while (busy := self._busy()) and time.monotonic() < end:
            busy[0].join(max(0.0, end - time.monotonic()))

    def _busy(self) -> list[threading.Thread]:
        """Return the connections that are open, those that wait at the listener among them."""
        with self._changing:
            while self._take():
                pass
            return [one for one in self._connections if one.is_alive()]

    def _accept(self) -> None:
        arrivals = select.poll()
        arrivals.register(self._listener, select.POLLIN)
        while True:
            arrivals.poll()
            with self._changing:
                taken = self._take()
            if not taken:
                # The client has gone already, or there are too many: one of them will end.
                time.sleep(_PATIENCE_SECONDS)

    def _take(self) -> bool:
        """Begin to serve the next connection; return whether there was one."""
        try:
            inside, _ = self._listener.accept()
        except OSError:
            return False
        thread = threading.Thread(target=self._connect, args=(inside,), daemon=True)
        thread.start()
        self._connections = [one for one in self._connections if one.is_alive()] + [thread]
        return True

    def _connect(self, inside: socket.socket) -> None:
        with inside:
            try:
                outside = _dial(self.address)
            except OSError as error:
                self._add(accepted=1, error=str(error))
                # The client learns of it as it would of a server that has gone.
                inside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                return
            self._add(accepted=1)
            with outside:
                self._forward(inside, outside)

    def _forward(self, inside: socket.socket, outside: socket.socket) -> None:
        for one in (inside, outside):
            one.settimeout(None)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(
            target=_copy, args=(outside, inside, lambda n: self._add(received=n)), daemon=True
        )
        back.start()
        _copy(inside, outside, lambda n: self._add(sent=n))
        back.join()

    def _add(self, *, accepted: int = 0, sent: int = 0, received: int = 0, error: str = "") -> None:
        with self._lock:
            self._accepted += accepted
            self._sent += sent
            self._received += received
            self._error = error or self._error


def _dial(address: AllowedAddress) -> socket.socket:
    outside = socket.socket(socket.AF_INET6 if ":" in address.ip else socket.AF_INET)
    outside.settimeout(_DIAL_SECONDS)
    outside.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    outside.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE)
    outside.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _BETWEEN)
    outside.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
    try:
        outside.connect((address.ip, address.port))
    except OSError:
        outside.close()
        raise
    return outside


def allow_many_connections() -> None:
    """Raise this process's own limit of open files: a connection takes two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _copy(source: socket.socket, target: socket.socket, count: Callable[[int], None]) -> None:
    """Move bytes until the source ends, then end the target's side.

    Splicing them in the kernel took as much CPU time, and larger pieces more time in all, because
    nobody has anything to do while one is on its way.
    """
    buffer = memoryview(bytearray(_PIECE))
    try:
        while size := source.recv_into(buffer):
            target.sendall(buffer[:size])
            count(size)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One side has gone: the other must not wait for it.
        for one in (source, target):
            _shut(one)


def _shut(one: socket.socket) -> None:
    """Let whoever waits on this side of a broken connection learn of it, now and when it closes.

    A mere end would leave somebody waiting for a window who has more to send.
    """
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
