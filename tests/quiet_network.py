"""A network of one's own in which every packet is seen: run as a script, it tells what left.

`python tests/quiet_network.py PROJECT COMMAND [ARGUMENT]...` runs the command in it. In this
network every address is this machine's `lo`, and every name has an address, so that nothing is kept
from being sent. What is sent to another address than loopback, and each question for a name, is
printed at the end as a line; the exit code is the command's.
"""

import socket
import struct
import subprocess
import sys
import threading
from ipaddress import ip_address

_ALL, _IPV4, _IPV6 = 0x0003, 0x0800, 0x86DD
_RECEIVE_BUFFER_FORCED = 33
_HEADER = 128
_PACKET, _STATISTICS = 263, 6
_NAMES = 53


class Observer:
    """Sees each packet on `lo`, once."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCED, 64 << 20)
        self._socket.settimeout(0.2)
        self.seen: dict[str, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def stop(self) -> int:
        """Look at what still waits, and stop; return how many packets were not seen."""
        self._over.set()
        self._thread.join()
        counts = self._socket.getsockopt(_PACKET, _STATISTICS, 8)
        return int(struct.unpack("II", counts)[1])

    def _look(self) -> None:
        while True:
            over = self._over.is_set()
            try:
                packet, (_, protocol, *_) = self._socket.recvfrom(_HEADER)
            except TimeoutError:
                if over:
                    return
                continue
            if line := _leaving(packet, protocol):
                self.seen[line] = self.seen.get(line, 0) + 1


def _leaving(packet: bytes, protocol: int) -> str | None:
    """Return what a packet that matters is; None if it is for loopback and asks for no name."""
    if protocol == _IPV4:
        target, kind, rest = ip_address(packet[16:20]), packet[9], packet[(packet[0] & 15) * 4 :]
    elif protocol == _IPV6:
        target, kind, rest = ip_address(packet[24:40]), packet[6], packet[40:]
    else:
        return f"a packet of protocol {protocol:#x}"
    port = int.from_bytes(rest[2:4], "big") if kind in (socket.IPPROTO_TCP, 17) else 0
    if port == _NAMES:
        return f"a question for a name: {rest[20:]!r}"
    return None if target.is_loopback else f"a packet to {target}, port {port}"


def _start_lying_resolver() -> None:
    """Answer every question for a name, from now on, with an address that is nobody's."""
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.bind(("", _NAMES))
    threading.Thread(target=_answer_questions, args=(door,), daemon=True).start()


def _answer_questions(door: socket.socket) -> None:
    while True:
        content, sender = door.recvfrom(4096)
        end = content.index(b"\0", 12) + 5
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("203.0.113.7")
        door.sendto(content[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + content[12:end] + record, sender)


def main(project: str, command: list[str]) -> int:
    """Run the command, print what left, and return its exit code."""
    sys.path.insert(0, project)
    from factory_resources.boundary.escapes.outside import enter_network

    enter_network()
    observer = Observer()
    _start_lying_resolver()
    code = subprocess.run(command, check=False).returncode
    if missed := observer.stop():
        print(f"left: {missed} packets were not seen")  # noqa: T201
    for line, times in observer.seen.items():
        print(f"left: {line} ({times} times)")  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
