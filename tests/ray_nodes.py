"""A Ray cluster of two nodes in a network of its own, which has `lo` alone.

The network and all that runs in it end with `RayNodes.close`. Run as a script in it, this module
runs the commands that it reads, several at a time.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Lock, Thread
from typing import Any, NamedTuple

from factory_resources.home.home import PROJECT

TOKEN = "a token of these tests, and of nobody else"
HEAD, OTHER = "127.0.0.1", "127.0.0.2"
ADDRESS = f"{HEAD}:10001"

_FOLDERS = {HEAD: 1, OTHER: 2}
_ATTEMPTS = 5
_PATIENCE = {
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_agent_register_timeout_ms": "120000",
}
"""How long Ray waits for what it has started; by itself, not long enough on a busy machine."""

_OBJECTS = 80 << 20
_SECONDS = 400.0


class Done(NamedTuple):
    """How a command in the network has ended."""

    code: int
    output: str
    errors: str


class RayNodes:
    """The network of a cluster; its commands have the token.

    Args:
        folder: where Ray writes; each node has a folder of its own, named after its address.
        prefix: the start of each command line.
    """

    def __init__(self, folder: Path, prefix: Sequence[str] = ()) -> None:
        self.folder, self._prefix = folder, prefix
        self._numbers, self._done = count(), dict[int, Done]()
        # Without root, one is root in a user namespace.
        users = [] if os.geteuid() == 0 else ["--map-root-user"]
        command = ["unshare", *users, "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
        self._server = subprocess.Popen(
            [*command, sys.executable, "-m", "tests.ray_nodes"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End all that is in the network."""
        self._server.kill()
        self._server.wait()

    def run(
        self, command: Sequence[str], variables: Mapping[str, str | None] | None = None
    ) -> Done:
        """Run a command in the network, and wait for it."""
        return self.wait(self.begin(command, variables))

    def begin(
        self, command: Sequence[str], variables: Mapping[str, str | None] | None = None
    ) -> int:
        """Start a command in the network; return its number.

        Args:
            variables: environment variables beside those of this process; None removes one.
        """
        number, common = next(self._numbers), {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
        asked = [number, [*self._prefix, *command], {**common, **(variables or {})}]
        assert self._server.stdin
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        return number

    def wait(self, number: int) -> Done:
        """Wait for a command."""
        assert self._server.stdout
        while number not in self._done:
            line = self._server.stdout.readline()
            assert line, "the network is gone"
            other, *result = json.loads(line)
            self._done[other] = Done(*result)
        return self._done.pop(number)

    def start(self, address: str, variables: Mapping[str, str | None] | None = None) -> None:
        """Start a node, and wait as long as a busy machine takes; the head is the first one."""
        log = self.folder / f"{address}.log"
        for _ in range(_ATTEMPTS):
            command = f"{shlex.join(self._command(address))} > {shlex.quote(str(log))} 2>&1"
            # The children of a fork in a process with gRPC's threads otherwise fail at times.
            own = {"GRPC_ENABLE_FORK_SUPPORT": "0", **_PATIENCE, **(variables or {})}
            if self.run(["sh", "-c", command], own).code == 0:
                return
            self.signal("", address)
        raise AssertionError(log.read_text())

    def signal(self, name: str, address: str = "", signal: str = "KILL") -> int:
        """Send a signal to processes whose command line has a name; count them.

        Args:
            address: only to those of this node.
            signal: its name without SIG; empty to count only.
        """
        folder = str(self._at(address)) if address else ""
        options = (name, folder, address, signal)
        found = self.run([sys.executable, "-c", _KILL, *options])
        assert found.code == 0, found.errors
        return int(found.output)

    def _command(self, address: str) -> list[str]:
        first = 20_000 + 10 * _FOLDERS[address]
        head = ["--head", "--port=6379", f"--ray-client-server-port={ADDRESS.rpartition(':')[2]}"]
        head += ["--include-dashboard=false", "--no-monitor", "--disable-usage-stats"]
        return [
            *(sys.executable, "-m", "ray.scripts.scripts", "start"),
            *(head if address == HEAD else [f"--address={HEAD}:6379"]),
            *(f"--node-ip-address={address}", "--num-cpus=1", "--num-gpus=0"),
            *(f"--object-store-memory={_OBJECTS}", "--include-log-monitor=false"),
            *(f"--runtime-env-agent-port={first}", f"--dashboard-agent-grpc-port={first + 1}"),
            *(f"--dashboard-agent-listen-port={first + 2}", f"--metrics-export-port={first + 3}"),
            f"--temp-dir={self._at(address)}",
        ]

    def _at(self, address: str) -> Path:
        # Paths of sockets may be 107 bytes long.
        return self.folder / str(_FOLDERS[address])


@contextmanager
def ray_nodes(
    folder: Path, prefix: Sequence[str] = (), variables: Mapping[str, str] | None = None
) -> Iterator[RayNodes]:
    """A cluster of two nodes, each with one processor.

    Args:
        variables: environment variables of the node that is not the head.
    """
    nodes = RayNodes(folder, prefix)
    try:
        nodes.start(HEAD)
        nodes.start(OTHER, variables)
        yield nodes
    finally:
        nodes.close()


_KILL = """
import os, signal, sys
from pathlib import Path
name, folder, address, number = sys.argv[1:]
found = 0
for process in Path("/proc").glob("[0-9]*"):
    try:
        line = (process / "cmdline").read_text().replace(chr(0), " ")
    except OSError:
        continue
    is_of_node = not address or f"{folder}/" in line or f"--host={address} " in line
    if int(process.name) != os.getpid() and name in line and is_of_node:
        if number:
            os.kill(int(process.name), signal.Signals["SIG" + number])
        found += 1
print(found)
"""


def _serve() -> None:
    """Run the commands that come in as lines, and print their results as lines."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    output_lock = Lock()

    def work(number: int, command: list[str], variables: dict[str, str | None]) -> None:
        result = [number, *_run(command, {**os.environ, "PYTHONPATH": str(PROJECT), **variables})]
        with output_lock:
            sys.stdout.write(json.dumps(result) + "\n")
            sys.stdout.flush()

    for line in sys.stdin:
        Thread(target=work, args=json.loads(line), daemon=True).start()


def _run(command: Sequence[str], variables: Mapping[str, Any]) -> Done:
    process = subprocess.Popen(
        command,
        env={name: value for name, value in variables.items() if value is not None},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        output, errors = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired as late:
        process.kill()
        return Done(-1, str(late.output), f"after {_SECONDS} s: {late.stderr!r}")
    return Done(process.returncode, output, errors)


if __name__ == "__main__":
    _serve()
