"""Clusters of Kubernetes that tests choose, and what is rendered for them."""

import importlib.util
from typing import Any

import pytest

from factory_resources.compute.cluster import Cluster, PeerAddress
from factory_resources.compute.manifests import manifests
from factory_resources.compute.pods import Manifest

DATABASE = PeerAddress("db.example.org", "10.1.2.3", 5432)

API = (PeerAddress("10.0.0.1", "10.0.0.1", 6443),)

PODS: dict[str, Any] = {"runs": "pods", "api_servers": API}

ON_POSTGRES: dict[str, Any] = {"database_secret": "factory-database", "database": DATABASE}


ON_STORE: dict[str, Any] = {
    "store_secret": "factory-store",
    "store": PeerAddress("storage.example.org", "10.1.2.5", 9000),
    "variables": {"FACTORY_STORE": "s3://plant/factory"},
}


def needs(module: str, distribution: str) -> pytest.MarkDecorator:
    """Skip where a package of the tests is missing, and say so."""
    return pytest.mark.skipif(
        importlib.util.find_spec(module) is None,
        reason=f"NOT TESTED: {distribution} is not installed (pip install '.[dev]')",
    )


def cluster(**chosen: Any) -> Cluster:
    """Return a cluster; what is not named is as usual."""
    return Cluster(**{"image": "r.example.org/f:1.0", "host": "factory.example.org", **chosen})


def objects(chosen: Cluster) -> list[Manifest]:
    """Return all objects that are rendered for it."""
    return [one for found in manifests(chosen).values() for one in found]


def find(found: list[Manifest], kind: str, name: str = "factory") -> Manifest:
    """Return the object of that kind and name."""
    [one] = [o for o in found if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return one
