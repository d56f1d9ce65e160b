"""Workers on the nodes of a Ray cluster that exists, as the run sees them.

Each is an actor that starts a process of ours on its node; requests and answers pass through it as
lines of JSON. A node that is lost is as a process that died: another node does the work again. The
connection itself belongs in `factory_resources.compute`, the actor in `node_worker`.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from factory_assets.execution.workers.connection import WorkerEnded
from factory_assets.execution.workers.environment import (
    THREADS,
    arithmetic_here,
    differing,
    environment_here,
)
from factory_assets.execution.workers.node_worker import NodeWorker, describe_node
from factory_assets.execution.workers.protocol import WorkerSetup, line_of
from factory_assets.execution.workers.room import Needs
from factory_resources.compute.ray_cluster import ActorEndedError, ClusterNode, RayCluster
from factory_resources.errors import ClusterError
from factory_resources.store.location import ENDPOINT_VARIABLE, REGION_VARIABLE, STORE_VARIABLE

_SENT = (
    *("FACTORY_HOME", "FACTORY_DATA", "FACTORY_DEFS", "FACTORY_SECRETS"),
    *(STORE_VARIABLE, ENDPOINT_VARIABLE, REGION_VARIABLE),
    *("FACTORY_KEEP", "FACTORY_DISK_KEEP", "FACTORY_GRID_G_PER_KWH", "FACTORY_WATTS_PER_CORE"),
)
"""Settings that workers have from the run. What may be secret is set on the nodes."""

_CHECKS = 16
"""Nodes that are looked at at a time."""

_LOOK = 5.0
"""Seconds after which it is looked for whether a node was lost on which a process should start."""

_END = 15.0
"""Seconds that a process has to end when there is nothing more to do."""

_NODE_ID = "ray.io/node-id"
"""The label that Ray gives each node."""

_NAMED = 5
"""Distributions that a message names."""


@contextmanager
def ray_workers(address: str, folder: Path, scratch: Path, needs: Needs) -> Iterator["RayWorkers"]:
    """Connect to a cluster, and require that its nodes are like this machine.

    Args:
        address: `HOST:PORT` of its client server.
        folder: that of the declaration.
        scratch: a folder of the run, which the nodes must see.
        needs: what each process needs of its node.

    Raises:
        ClusterError: it is away, refuses us, or a node has another environment or does not see the
            folders.
    """
    cluster = RayCluster(address)
    try:
        workers = RayWorkers(cluster, (folder, scratch), needs)
        workers.require_same()
        yield workers
    finally:
        cluster.close()


class RayWorkers:
    """The nodes of a cluster, on which processes are started.

    Args:
        cluster: the connection.
        shared: the paths that each node must see.
        needs: what each process needs of its node.
    """

    def __init__(self, cluster: RayCluster, shared: Sequence[Path], needs: Needs) -> None:
        self._cluster, self._shared = cluster, [str(path) for path in shared]
        self._environment = environment_here()
        self._nodes = {node.id: node for node in cluster.nodes()}
        self._needs = needs
        self._broken: set[str] = set()
        """The ids of nodes on which no process stays alive, such as those whose disk is full."""
        self.count = self._room_of(self._nodes.values())
        """How many processes work at a time: as many as the nodes have room for."""
        self._same: set[str] = set()
        self._threads = os.environ.get(THREADS)
        self._arithmetic = arithmetic_here(self._threads)
        self.unfit: dict[str, list[str]] = {}
        """By node id, why it fits no models for this machine; empty if it does."""

    def require_room(self) -> None:
        """Raise ClusterError if no node has room for a process."""
        if not self.count:
            raise self._error(
                "no node of the Ray cluster has room for a worker",
                "add a node, or lower what `resources` of the stage declares",
            )

    def require_same(self) -> None:
        """Raise ClusterError if the environment of a node is not that of this machine."""
        with ThreadPoolExecutor(_CHECKS) as threads:
            for _ in threads.map(self._look_at, self._nodes.values()):
                pass
        self.count = self._room_of(self._nodes.values())

    def connect(self, setup: WorkerSetup) -> "_NodeConnection":
        """Start a process on a node.

        Raises:
            WorkerEnded: the node was lost meanwhile.
            ClusterError: the cluster is away, or has a new node that is not like this machine.
        """
        actor, node = self._placed()
        # Counters of the devices are shared by the processes of that machine alone.
        setup = setup.model_copy(update={"workers": node.cpus})
        try:
            return self._started(actor, node, setup, _sent(), "sealed")
        except ActorEndedError as error:
            raise WorkerEnded(str(error)) from error

    def places_to_fit(self) -> list[ClusterNode]:
        """Return the nodes that fit as this machine does, in turns as often as each has room."""
        fitting = [node for node in self._nodes.values() if self.unfit.get(node.id) == []]
        turns = range(max(map(self._room_of, ([node] for node in fitting)), default=0))
        return [node for turn in turns for node in fitting if turn < self._room_of([node])]

    def connect_to_fit(self, setup: WorkerSetup, node: ClusterNode) -> "_NodeConnection":
        """Start a process that fits, with as many threads as the run has.

        Args:
            node: where; if it is lost, another one that fits as this machine does.

        Raises:
            WorkerEnded: the node was lost meanwhile.
            ClusterError: the cluster is away, or has lost all such nodes.
        """
        needs = {"num_cpus": 1, **_resources(self._needs)}
        living = {one.id for one in self._cluster.nodes()}
        if node.id not in living:
            left = [one for one in self.places_to_fit() if one.id in living]
            if not left:
                raise self._error(
                    "the Ray cluster has lost all nodes that give the same results as this machine",
                    "start them, and run again",
                )
            # Those that are left have work already, so it works beside them, here and there.
            node, needs = left[int(node.id, 16) % len(left)], {"num_cpus": 0}
        threads = {THREADS: self._threads, "OMP_WAIT_POLICY": "PASSIVE"}
        setup = setup.model_copy(update={"workers": node.cpus, "environment": threads})
        actor = self._cluster.start(NodeWorker, node=node.id, **needs)
        try:
            return self._started(actor, node, setup, _sent(), "sealed")
        except ActorEndedError as error:
            raise WorkerEnded(str(error)) from error

    def connect_together(self, setup: WorkerSetup, count: int) -> list["_NodeConnection"]:
        """Start a process on each of several nodes, which form one torch process group.

        Raises:
            WorkerEnded: a node was lost meanwhile.
            ClusterError: the cluster is away, or has fewer nodes.
        """
        nodes = sorted(self._cluster.nodes(), key=lambda node: node.name)[:count]
        if len(nodes) < count:
            raise self._error(
                f"{count} nodes are declared, and the Ray cluster has {len(nodes)}",
                "set train.trainer.nodes to fewer, or add nodes",
            )
        needs = _resources(self._needs)
        actors = [
            self._cluster.start(NodeWorker, node=node.id, num_cpus=node.cpus, **needs)
            for node in nodes
        ]
        try:
            first = nodes[0].name
            port = self._cluster.ask(actors[0].free_port, first)
            group = {**_sent(), "MASTER_ADDR": first, "MASTER_PORT": str(port)}
            return [
                self._started(actor, node, setup, {**group, "NODE_RANK": str(rank)}, "open")
                for rank, (actor, node) in enumerate(zip(actors, nodes, strict=True))
            ]
        except BaseException as error:
            for actor in actors:
                self._cluster.kill(actor)
            if isinstance(error, ActorEndedError):
                raise WorkerEnded(str(error)) from error
            raise

    def _started(
        self,
        actor: Any,
        node: ClusterNode,
        setup: WorkerSetup,
        variables: Mapping[str, str],
        way: Literal["sealed", "open"],
    ) -> "_NodeConnection":
        told = (str(setup.folder), str(setup.home), setup.workers, json.dumps(variables), way)
        self._cluster.ask(actor.start, *told)
        process = _NodeConnection(self._cluster, actor, node)
        process.send(line_of(setup))
        return process

    def _placed(self) -> tuple[Any, ClusterNode]:
        """Start an actor where there is room, and return it with its node."""
        actor = self._started_anywhere(num_cpus=1, **_resources(self._needs))
        waits_for_room = True
        try:
            while True:
                with suppress(TimeoutError):
                    return actor, self._node(self._cluster.ask(actor.node, timeout=_LOOK))
                if waits_for_room and self._living_room() < self.count:
                    # A node was lost. The workers that have room may wait for the partition of the
                    # one that has none, so it works beside them.
                    self._cluster.kill(actor)
                    actor, waits_for_room = self._started_anywhere(num_cpus=0), False
        except ActorEndedError as error:
            raise WorkerEnded(str(error)) from error
        except BaseException:
            self._cluster.kill(actor)
            raise

    def _started_anywhere(self, **needs: Any) -> Any:
        """Start an actor on any node but the broken ones."""
        if self._broken:
            needs["label_selector"] = {_NODE_ID: f"!in({','.join(sorted(self._broken))})"}
        return self._cluster.start(NodeWorker, **needs)

    def _living_room(self) -> int:
        nodes = self._cluster.nodes()
        if not nodes:
            raise self._error("the Ray cluster has lost all its nodes", "start them, and run again")
        return self._room_of(nodes)

    def _room_of(self, nodes: Iterable[ClusterNode]) -> int:
        working = (node for node in nodes if node.id not in self._broken)
        return sum(node.room(self._needs.memory, self._needs.gpus) for node in working)

    def _node(self, found: str) -> ClusterNode:
        if found not in self._same:
            # It has joined the cluster meanwhile.
            self._nodes |= {node.id: node for node in self._cluster.nodes()}
            self._require_same(self._nodes[found])
        return self._nodes[found]

    def _look_at(self, node: ClusterNode) -> None:
        # One that is lost meanwhile is not waited for, nor worked on.
        try:
            self._require_same(node)
        except ActorEndedError:
            self._broken.add(node.id)

    def _require_same(self, node: ClusterNode) -> None:
        try:
            told = json.loads(
                self._cluster.call(describe_node, self._shared, self._threads, node=node.id)
            )
        except TimeoutError as error:
            raise self._error(
                f"node {node.name} does not answer", "remove it from the cluster, or restart it"
            ) from error
        if names := differing(self._environment, told["environment"]):
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            raise self._error(
                f"node {node.name} has another environment: {', '.join(names[:_NAMED])}{more}",
                "install the same versions there as here",
            )
        if told["missing"]:
            raise self._error(
                f"node {node.name} does not see {told['missing'][0]}",
                "share the home and the pipelines with all nodes, under the same paths",
            )
        self._same.add(node.id)
        unlike = differing(self._arithmetic, told["arithmetic"])
        full = [] if self._room_of([node]) else ["no room"]
        self.unfit[node.id] = [*(f"another {name}" for name in unlike), *full]

    def _error(self, what: str, remedy: str) -> ClusterError:
        return ClusterError(what, where=f"ray://{self._cluster.address}", remedy=remedy)


class _NodeConnection:
    """A process on a node, as `connection.WorkerConnection`."""

    def __init__(self, cluster: RayCluster, actor: Any, node: ClusterNode) -> None:
        self._cluster, self._actor, self._node = cluster, actor, node
        self._lines = b""
        self._ended = ""

    def send(self, line: bytes) -> None:
        self._lines += line

    def line(self) -> bytes:
        lines, self._lines = self._lines, b""
        line: bytes
        try:
            line, self._ended = self._cluster.ask(self._actor.exchange, lines)
        except ActorEndedError as error:
            line, self._ended = b"", str(error)
        if not line:
            raise self.remove()
        return line

    def finish(self) -> None:
        with suppress(ActorEndedError, ClusterError):
            self._cluster.tell(self._actor.finish)

    def end(self) -> None:
        with suppress(ActorEndedError, ClusterError, TimeoutError):
            self._cluster.ask(self._actor.end, timeout=_END)
        self.kill()

    def kill(self) -> None:
        self._cluster.kill(self._actor)

    def remove(self) -> WorkerEnded:
        self.kill()
        return WorkerEnded(f"{self._ended or 'was stopped'} (node {self._node.name})")


def _resources(needs: Needs) -> dict[str, Any]:
    """Return what a process needs as Ray names it."""
    found: dict[str, Any] = {"num_gpus": needs.gpus} if needs.gpus else {}
    return found | ({"memory": needs.memory} if needs.memory else {})


def _sent() -> dict[str, str]:
    return {name: os.environ[name] for name in _SENT if name in os.environ}
