"""A Ray cluster of two nodes in a network of its own, which is this machine's and has `lo` alone.

The network and the numbers of processes in it end with `RayNodes.close`. Run as a script in them,
this module runs the commands that it reads.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from factory_resources.home.home import PROJECT

TOKEN = "a token of these tests, and of nobody else"
CLIENT, _PORT = 10001, 6379
HEAD, OTHER = "127.0.0.1", "127.0.0.2"
ADDRESS = f"ray://{HEAD}:{CLIENT}"

_OBJECTS = 80 << 20
_SECONDS = 120


class Done(NamedTuple):
    """What a command in the network has come to."""

    code: int
    output: str
    errors: str


class RayNodes:
    """The nodes of a cluster; each command is given the token.

    Args:
        folder: where Ray writes; each node has a folder of its own, named after its address.
    """

    def __init__(self, folder: Path, prefix: Sequence[str] = ()) -> None:
        self.folder, self._prefix = folder, prefix
        folder.mkdir(parents=True, exist_ok=True)
        # Without root, one is it in a user namespace.
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
        self, command: Sequence[str], variables: Mapping[str, str] | None = None, **told: object
    ) -> Done:
        """Run a command in the network."""
        self.begin(command, variables, **told)
        return self.finish()

    def begin(
        self, command: Sequence[str], variables: Mapping[str, str] | None = None, **told: object
    ) -> None:
        """Start a command in the network; `finish` waits for it."""
        asked = {
            "command": [*self._prefix, *command],
            "variables": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, **(variables or {})},
            **told,
        }
        assert self._server.stdin
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()

    def finish(self) -> Done:
        """Wait for the command that was started last."""
        assert self._server.stdout
        line = self._server.stdout.readline()
        assert line, "the network is gone"
        return Done(*json.loads(line))

    def start(self, cpus: int = 1, variables: Mapping[str, str] | None = None) -> None:
        """Start both nodes at the same time."""
        script = "\n".join(
            f"{' '.join(map(_quoted, self.command_of(address, cpus)))} > "
            f"{_quoted(str(self.folder / address))}.log 2>&1 &"
            for address in (HEAD, OTHER)
        )
        done = self.run(["sh", "-c", f"{script}\nwait"], variables)
        logs = [(self.folder / f"{address}.log").read_text() for address in (HEAD, OTHER)]
        assert done.code == 0, done.errors
        assert all("Ray runtime started" in log for log in logs), "\n".join(logs)

    def command_of(self, address: str, cpus: int = 1) -> list[str]:
        """Return the command that starts a node; the head is the first address."""
        head = ["--head", f"--port={_PORT}", f"--ray-client-server-port={CLIENT}"]
        head += ["--include-dashboard=false", "--no-monitor", "--disable-usage-stats"]
        return [
            *(sys.executable, "-m", "ray.scripts.scripts", "start"),
            *(head if address == HEAD else [f"--address={HEAD}:{_PORT}"]),
            f"--node-ip-address={address}",
            f"--num-cpus={cpus}",
            "--num-gpus=0",
            f"--object-store-memory={_OBJECTS}",
            f"--temp-dir={self.folder / address}",
        ]

    def kill(self, name: str, address: str, signal: str = "KILL") -> int:
        """Send a signal to the processes of a node whose command line has a name; count them."""
        found = self.run([sys.executable, "-c", _KILL, name, str(self.folder / address), signal])
        assert found.code == 0, found.errors
        return int(found.output)


_KILL = """
import os, signal, sys
from pathlib import Path
name, folder, number = sys.argv[1:]
found = 0
for process in Path("/proc").glob("[0-9]*"):
    try:
        line = (process / "cmdline").read_text().replace(chr(0), " ")
    except OSError:
        continue
    if int(process.name) != os.getpid() and name in line and folder in line:
        os.kill(int(process.name), signal.Signals["SIG" + number])
        found += 1
print(found)
"""


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)


def _serve() -> None:
    """Run the commands that come in as lines, and tell what they have come to."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for line in sys.stdin:
        asked = json.loads(line)
        environment = {**os.environ, "PYTHONPATH": str(PROJECT), **asked["variables"]}
        try:
            done = subprocess.run(
                asked["command"],
                env={name: value for name, value in environment.items() if value},
                cwd=asked.get("cwd"),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=asked.get("seconds", _SECONDS),
                check=False,
            )
            told = [done.returncode, done.stdout, done.stderr]
        except subprocess.TimeoutExpired as late:
            told = [-1, str(late.stdout), f"it took too long: {late.stderr!r}"]
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    _serve()
