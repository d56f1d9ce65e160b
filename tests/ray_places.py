"""Another run on a Ray cluster: it holds a node, and needs a second one before it ends.

`python -m tests.ray_places HOST:PORT HELD NEEDED PATH` names both nodes by their addresses, and
needs the second one from when the path exists.
"""

import sys
import time
from pathlib import Path

from factory_assets.execution.workers.node_worker import NodeWorker
from factory_resources.compute.ray_cluster import RayCluster

if __name__ == "__main__":
    address, held, needed, path = sys.argv[1:]
    cluster = RayCluster(address)
    nodes = {node.name: node.id for node in cluster.nodes()}
    first = cluster.start(NodeWorker, node=nodes[held], num_cpus=1)
    cluster.ask(first.node)
    while not Path(path).exists():
        time.sleep(0.1)
    second = cluster.start(NodeWorker, node=nodes[needed], num_cpus=1)
    cluster.ask(second.node)
    cluster.close()
