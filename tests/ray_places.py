"""Another run on a Ray cluster: it holds a node, and needs a second one before it ends.

`python -m tests.ray_places HOST:PORT HELD NEEDED` names both nodes by their addresses.
"""

import sys

from factory_assets.execution.workers.node_worker import NodeWorker
from factory_resources.compute.ray_cluster import RayCluster

if __name__ == "__main__":
    cluster = RayCluster(sys.argv[1])
    nodes = {node.name: node.id for node in cluster.nodes()}
    held = []
    for address in sys.argv[2:]:
        actor = cluster.start(NodeWorker, node=nodes[address], num_cpus=1)
        cluster.ask(actor.node)
        held.append(actor)
    cluster.close()
