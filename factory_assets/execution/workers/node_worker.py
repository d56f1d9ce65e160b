"""The actor that starts a process of ours on a node of a Ray cluster, and passes lines on.

Ray finds the class by its name, so the node needs the factory installed. Arguments and results are
texts and bytes. It imports little, since each worker of a node imports it. What the process does
belongs in `node_process`, who calls this in `ray_workers`.
"""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from factory_assets.execution.workers.connection import LocalConnection, WorkerEnded
from factory_assets.execution.workers.environment import arithmetic_here, environment_here

_UNSHARED = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""Variables that open the cluster: no code of a user gets them."""


def describe_node(shared: Sequence[str], threads: str | None) -> str:
    """Return what the node runs with, how it calculates, and which of the paths it does not see.

    Args:
        threads: OMP_NUM_THREADS of the run; None if it is not set.

    Returns:
        JSON.
    """
    missing = [path for path in shared if not Path(path).exists()]
    told = {"environment": environment_here(), "arithmetic": arithmetic_here(threads)}
    return json.dumps({**told, "missing": missing})


class NodeWorker:
    """A process on the node where Ray has put this actor."""

    def __init__(self) -> None:
        self._process: LocalConnection | None = None

    def node(self) -> str:
        """Return the id of the node."""
        from ray import get_runtime_context

        return str(get_runtime_context().get_node_id())

    def free_port(self, address: str) -> int:
        """Return a port of the node's address that nobody listens at."""
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.bind((address, 0))
            return int(probe.getsockname()[1])

    def start(self, folder: str, home: str, cpus: int, variables: str, way: str) -> None:
        """Start the process.

        Args:
            folder: that of the declaration.
            home: the factory's home.
            cpus: how many such processes share the node.
            variables: environment variables of the process, beside those of the node; JSON.
            way: `sealed` inside a boundary; `open` if it reaches other nodes.
        """
        module = f"{__package__}.node_process"
        environment = _environment(json.loads(variables))
        self._process = LocalConnection(module, (folder, home, str(cpus), way), environment)

    def exchange(self, lines: bytes) -> tuple[bytes, str]:
        """Send lines, and return the next one; or an empty one, and how the process ended."""
        assert self._process
        try:
            if lines:
                self._process.send(lines)
            return self._process.line(), ""
        except WorkerEnded as error:
            return b"", str(error)

    def finish(self) -> None:
        """Tell the process that nothing more is asked; do not wait for its end."""
        if self._process:
            self._process.finish()

    def end(self) -> None:
        """Let the process end: there is nothing more to do."""
        if self._process:
            self._process.end()


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    found = {**os.environ, **variables}
    return {name: value for name, value in found.items() if name not in _UNSHARED}
