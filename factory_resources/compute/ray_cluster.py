"""A Ray cluster that others have started: connect to it, see its nodes, start actors on them.

The connection is Ray's client protocol: one TCP connection to the head, whatever the number of
nodes. What actors do belongs to the caller. Ray is imported when a cluster is connected.
"""

import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory_resources.boundary.addresses import split_address
from factory_resources.errors import ClusterError

_DIAL_SECONDS = 5.0

_ANSWER_SECONDS = 60.0
"""Seconds in which a node starts a process, even if it is busy."""

_TOKEN, _TOKEN_FILE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
"""Environment variables that hold Ray's token, or name its file."""

_SWITCHES = {
    "RAY_AUTH_MODE": "token",
    # Ray would look for `uv run` among the parents, to install the same elsewhere.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Seconds for which a lost connection is tried again.
    "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "5",
}


class ActorEndedError(Exception):
    """An actor is gone; the message says how, such as "lost its node"."""


@dataclass(frozen=True)
class ClusterNode:
    """A living machine of the cluster that computes."""

    id: str
    """Ray's own, in hexadecimal."""
    name: str
    """Its address."""
    cpus: int
    memory: int
    """Bytes; Ray keeps some of them for itself."""
    gpus: int

    def room(self, memory: int, gpus: int) -> int:
        """Return how many processes it has room for that need so many bytes and GPUs each."""
        found = [self.cpus]
        found += [self.memory // memory] if memory else []
        found += [self.gpus // gpus] if gpus else []
        return min(found)


def token_file() -> Path:
    """Return the file in which Ray looks for its token if no variable holds it."""
    return Path(os.environ.get(_TOKEN_FILE) or os.path.expanduser("~/.ray/auth_token"))


class RayCluster:
    """A connection to a cluster; close it, and everything that was started by it ends.

    Args:
        address: `HOST:PORT` of the client server on the head, whose default port is 10001.

    Raises:
        ClusterError: Ray is not installed here, nobody answers there, the cluster is open to
            everybody, it refuses the token, or it has another version of Ray or Python.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._is_connected = False
        os.environ.update(_SWITCHES)
        self._require_token()
        self._dial()
        # It takes seconds, so it comes after what takes none.
        self._ray = _imported_ray()
        self._require_closed()
        self._connect()
        self._is_connected = True

    def close(self) -> None:
        """Disconnect."""
        with suppress(ConnectionError):
            self._ray.shutdown()

    def nodes(self) -> list[ClusterNode]:
        """Return the nodes that are alive and have processors for workers.

        Raises:
            ClusterError: the cluster is away.
        """
        with self._cluster_errors():
            found = [one for one in self._ray.nodes() if one["Alive"]]
        nodes = []
        for one in found:
            cpus, memory, gpus = (int(one["Resources"].get(n, 0)) for n in ("CPU", "memory", "GPU"))
            if cpus:
                nodes.append(
                    ClusterNode(one["NodeID"], one["NodeManagerAddress"], cpus, memory, gpus)
                )
        return nodes

    def start(self, actor: type, *arguments: object, node: str = "", **options: object) -> Any:
        """Start an actor, and return Ray's handle to it.

        Ray pickles the name of the class, and the arguments: hand in texts, bytes and numbers.

        Args:
            node: the id of the node where it is to be; the emptiest one if left out.
            options: what it needs, as Ray names it: `num_cpus`, `num_gpus`, `memory`.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        strategy = NodeAffinitySchedulingStrategy(node, soft=False) if node else "SPREAD"
        with self._cluster_errors():
            remote = self._ray.remote(actor)
            return remote.options(scheduling_strategy=strategy, **options).remote(*arguments)

    def call(self, function: Callable[..., str], *arguments: object, node: str) -> str:
        """Call a function on a node, and return its result; Ray pickles its name.

        Args:
            node: the id of the node.

        Raises:
            ActorEndedError: the node is gone.
            ClusterError: the cluster is away.
            TimeoutError: the node does not answer.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        strategy = NodeAffinitySchedulingStrategy(node, soft=False)
        with self._cluster_errors():
            remote = self._ray.remote(function)
        options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": strategy}
        return str(self.ask(remote.options(**options), *arguments, timeout=_ANSWER_SECONDS))

    def ask(self, method: Any, *arguments: object, timeout: float | None = None) -> Any:
        """Call a method of an actor, and return its result.

        Raises:
            ActorEndedError: the actor is gone, for instance with its node.
            ClusterError: the cluster is away.
            TimeoutError: it took longer than the timeout, in seconds.
        """
        from ray import exceptions

        with self._cluster_errors():
            try:
                return self._ray.get(method.remote(*arguments), timeout=timeout)
            except exceptions.GetTimeoutError as error:
                raise TimeoutError from error
            except exceptions.RayTaskError as error:
                raise RuntimeError(f"in an actor:\n{error}") from error
            except exceptions.RayError as error:
                if "ModuleNotFoundError" in str(error):
                    raise self._without_factory() from error
                raise ActorEndedError(_ending(error)) from error

    def tell(self, method: Any) -> None:
        """Call a method of an actor, and do not wait for its result."""
        with self._cluster_errors():
            method.remote()

    def kill(self, actor: Any) -> None:
        """Kill an actor; nothing happens if it, or the cluster, is gone."""
        with suppress(ClusterError), self._cluster_errors():
            self._ray.kill(actor)

    def _connect(self) -> None:
        with self._cluster_errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                # Its remarks stay out of the output of a run.
                self._ray.init(
                    f"ray://{self.address}", log_to_driver=False, logging_level="CRITICAL"
                )
            except RuntimeError as error:
                if "version" not in str(error).lower():
                    raise
                raise ClusterError(
                    f"the Ray cluster has another version: {error}",
                    where=f"ray://{self.address}",
                    remedy="install the same versions of Ray and Python there and here",
                ) from error

    def _require_token(self) -> None:
        if not os.environ.get(_TOKEN) and not token_file().is_file():
            raise ClusterError(
                "there is no token for the Ray cluster",
                where=f"ray://{self.address}",
                remedy=f"set {_TOKEN}, or {_TOKEN_FILE} to a file that holds it",
            )

    def _dial(self) -> None:
        """Check within seconds that something listens there: Ray tries for half a minute."""
        try:
            socket.create_connection(split_address(self.address), _DIAL_SECONDS).close()
        except (OSError, UnicodeError) as error:
            raise self._unreachable(getattr(error, "strerror", None) or str(error)) from error

    def _require_closed(self) -> None:
        """Require that the cluster refuses whoever has no token, and takes ours."""
        import grpc

        if self._ping() is None:
            raise ClusterError(
                "the Ray cluster is open: whoever reaches it can run programs on its nodes",
                where=f"ray://{self.address}",
                remedy="start all its nodes with RAY_AUTH_MODE=token",
            )
        match self._ping(f"Bearer {self._token()}"):
            case None:
                return
            case grpc.StatusCode.UNAUTHENTICATED:
                raise ClusterError(
                    "the Ray cluster refuses the token",
                    where=f"ray://{self.address}",
                    remedy=f"set {_TOKEN}, or {_TOKEN_FILE}, to the token that its nodes have",
                )
            case code:
                raise self._unreachable(code.name)

    def _ping(self, authorization: str = "") -> Any:
        """Ping the client server; return None if it answers, else gRPC's code."""
        import grpc
        from ray.core.generated import ray_client_pb2, ray_client_pb2_grpc

        hello = ray_client_pb2.ClusterInfoRequest(type=ray_client_pb2.ClusterInfoType.PING)
        metadata = [("client_id", "hello")]
        metadata += [("authorization", authorization)] if authorization else []
        with grpc.insecure_channel(self.address) as channel:
            stub = ray_client_pb2_grpc.RayletDriverStub(channel)
            try:
                stub.ClusterInfo(hello, timeout=_DIAL_SECONDS, metadata=metadata)
            except grpc.RpcError as error:
                return error.code()
        return None

    def _token(self) -> str:
        return (os.environ.get(_TOKEN) or token_file().read_text(encoding="utf-8")).strip()

    def _unreachable(self, reason: str) -> ClusterError:
        return ClusterError(
            f"the Ray cluster cannot be reached ({' '.join(reason.split())})",
            where=f"ray://{self.address}",
            remedy="start it, or run without it",
        )

    def _without_factory(self) -> ClusterError:
        return ClusterError(
            "a node of the Ray cluster has no factory",
            where=f"ray://{self.address}",
            remedy="install the same environment there as here",
        )

    @contextmanager
    def _cluster_errors(self) -> Iterator[None]:
        import grpc

        if self._is_connected and not self._ray.is_initialized():
            raise self._unreachable("the connection was lost")
        try:
            yield
        except ConnectionAbortedError as error:
            raise ClusterError(
                "the head of the Ray cluster could not start a process for the run",
                where=f"ray://{self.address}",
                remedy="start it with GRPC_ENABLE_FORK_SUPPORT=0, and look at "
                "ray_client_server.err among its logs",
            ) from error
        except ConnectionError as error:
            raise self._unreachable(str(error)) from error
        except grpc.RpcError as error:
            raise self._unreachable(str(error)) from error


def _imported_ray() -> Any:
    """Import Ray, without the folder of its own copies of libraries that it puts in the path."""
    path = [*sys.path]
    try:
        import ray
    except ImportError as error:
        raise ClusterError(
            f"Ray cannot be imported ({error})",
            remedy="install the extra: pip install 'sovereign-ai-factory[ray]'",
        ) from error
    finally:
        sys.path[:] = path
    return ray


def _ending(error: Exception) -> str:
    from ray.exceptions import NodeDiedError, OutOfMemoryError

    if isinstance(error, OutOfMemoryError):
        return "had no memory left"
    if isinstance(error, NodeDiedError) or "node" in str(error).lower():
        return "was lost with its node"
    return "was killed on its node"
