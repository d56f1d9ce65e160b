"""What may be sent to and from pods: nothing, but for what is listed."""

import ipaddress
from collections.abc import Iterable

from factory_resources.compute.cluster import Cluster, PeerAddress
from factory_resources.compute.pods import NAME, Manifest, labels

DOOR_PORT = 8443


def network_policies(cluster: Cluster) -> list[Manifest]:
    """Return the rules of the network, the refusal of everything first."""
    everything: Manifest = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    door: Manifest = {"ports": [_port(DOOR_PORT)]}
    if cluster.visitors:
        label = "kubernetes.io/metadata.name"
        door["from"] = [
            {"namespaceSelector": {"matchLabels": {label: name}}} for name in cluster.visitors
        ]
    server = {"matchLabels": labels("server")}
    all_pods = {"matchLabels": {"app.kubernetes.io/name": NAME}}
    return [
        _policy("nothing", everything),
        _policy("door", {"podSelector": server, "policyTypes": ["Ingress"], "ingress": [door]}),
        # Also if they allow nothing: a cluster goes on with a rule that is rendered no more.
        _policy("declared", _outgoing(all_pods, cluster.peers)),
        _policy("of-the-server", _outgoing(server, (*cluster.logins, *cluster.api_servers))),
    ]


def _policy(name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"{NAME}-{name}"},
        "spec": spec,
    }


def _outgoing(pods: Manifest, peers: Iterable[PeerAddress]) -> Manifest:
    rules = [
        {"to": [{"ipBlock": {"cidr": _single_address(peer.ip)}}], "ports": [_port(peer.port)]}
        for peer in peers
    ]
    return {"podSelector": pods, "policyTypes": ["Egress"], "egress": rules}


def _port(number: int) -> Manifest:
    return {"protocol": "TCP", "port": number}


def _single_address(ip: str) -> str:
    """Return the block of this one address."""
    return str(ipaddress.ip_network(ip))
