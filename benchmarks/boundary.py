"""What a boundary costs: at the start, while training, and through an allowed address.

python -m benchmarks.boundary
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.measure import Result
from factory_resources.boundary.boundary import Boundary, level_here

MILLISECONDS = 80
"""More than for the same command without a boundary."""
SHARE = 0.8
"""Of the bytes a second without one."""
TRAINING = 0.01
"""Of the CPU seconds of a training without one."""
ROUNDS = 15
TRAININGS = 25
TRANSFERS = 5
BYTES = 512 << 20

_USER = (65534, 65534) if os.geteuid() == 0 else None

_RECEIVE = """
import socket, sys, time
one = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
one.sendall(b"GET")
buffer, left, start = bytearray(1 << 18), int(sys.argv[2]), time.perf_counter()
while left:
    left -= one.recv_into(buffer)
print(time.perf_counter() - start)
"""
_SEND = """
import socket, sys, time
one = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
buffer, start = bytes(1 << 18), time.perf_counter()
one.sendall(b"PUT")
for _ in range(int(sys.argv[2]) // len(buffer)):
    one.sendall(buffer)
one.recv(1)
print(time.perf_counter() - start)
"""
_TRAIN = """
import time
import torch
torch.set_num_threads(1)
torch.manual_seed(0)
rows, labels = torch.randn(4096, 32), torch.randint(0, 2, (4096,))
model = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
optimiser = torch.optim.AdamW(model.parameters())
start = time.process_time()
for _ in range(40):
    for batch in range(0, 4096, 64):
        optimiser.zero_grad()
        part = slice(batch, batch + 64)
        torch.nn.functional.cross_entropy(model(rows[part]), labels[part]).backward()
        optimiser.step()
print(time.process_time() - start)
"""


def run() -> list[Result]:
    level, reason = level_here(_USER)
    results = [_sealing(level), _training(level)]
    if level != "namespaces":
        return [*results, Result("bytes through an allowed address", reason, "namespaces", False)]
    return [*results, _transfer("received", _RECEIVE), _transfer("sent", _SEND)]


def _python(script: str, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", script, *arguments]


def _sealing(level: str) -> Result:
    """Compare the start of a command inside with its start; the two alternate."""
    plain = _python("")
    inside = Boundary(user=_USER).command(plain)
    pairs = [(_seconds(inside), _seconds(plain)) for _ in range(ROUNDS)]
    # The quickest: other load of the machine can only add time.
    ours, bare = (min(side) * 1e3 for side in zip(*pairs, strict=True))
    return Result(
        f"starting a command in a boundary ({level})",
        f"{ours - bare:.0f} ms more than {bare:.0f} ms",
        f"<= {MILLISECONDS} ms more",
        ours - bare <= MILLISECONDS,
    )


def _training(level: str) -> Result:
    """Compare the CPU seconds of a training inside with those outside; the two alternate."""
    plain = [sys.executable, "-I", "-c", _TRAIN]
    inside = Boundary(user=_USER).command(plain)
    pairs = [(_asked(inside), _asked(plain)) for _ in range(TRAININGS)]
    # The quickest: what else runs on the machine takes its caches, too.
    ours, bare = (min(side) for side in zip(*pairs, strict=True))
    return Result(
        f"training in a boundary ({level})",
        f"{ours / bare - 1:+.1%} of {bare:.2f} CPU s",
        f"<= {TRAINING:+.0%}",
        ours <= (1 + TRAINING) * bare,
    )


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


def _transfer(what: str, script: str) -> Result:
    with _serving() as port:
        argv = _python(script, str(port), str(BYTES))
        allowed = Boundary(level="required", allow=(f"127.0.0.1:{port}",), user=_USER)
        pairs = [(_asked(allowed.command(argv)), _asked(argv)) for _ in range(TRANSFERS)]
    through, direct = (BYTES / min(side) / 1e6 for side in zip(*pairs, strict=True))
    return Result(
        f"bytes {what} through an allowed address",
        f"{through:,.0f} MB/s, {through / direct:.2f}x of {direct:,.0f} MB/s",
        f">= {SHARE:g}x",
        through >= SHARE * direct,
    )


def _asked(command: list[str]) -> float:
    """Return the seconds that the client prints."""
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@contextmanager
def _serving() -> Iterator[int]:
    """Serve clients that get or put bytes, in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = os.fork()
        if server == 0:
            _serve(listener)
        try:
            yield listener.getsockname()[1]
        finally:
            os.kill(server, 9)
            os.waitpid(server, 0)


def _serve(listener: socket.socket) -> None:
    while True:
        one, _ = listener.accept()
        threading.Thread(target=_converse, args=(one,), daemon=True).start()


def _converse(one: socket.socket) -> None:
    with one:
        one_way: dict[bytes, Callable[[socket.socket], None]] = {b"GET": _give, b"PUT": _take}
        one_way[one.recv(3)](one)


def _give(one: socket.socket) -> None:
    buffer = bytes(1 << 18)
    for _ in range(BYTES // len(buffer)):
        one.sendall(buffer)


def _take(one: socket.socket) -> None:
    buffer, left = bytearray(1 << 18), BYTES
    while left:
        left -= one.recv_into(buffer)
    one.sendall(b"+")


if __name__ == "__main__":
    for result in run():
        print(result.name, result.measured, result.target, sep=": ")
