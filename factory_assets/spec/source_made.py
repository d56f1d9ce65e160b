"""Data that the factory itself has made: another pipeline's snapshot, or an asset's table."""

from typing import Annotated, Literal

from pydantic import Field

from factory_assets.spec.base import Name, Spec

AssetPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*$", max_length=256)]
"""The key of a Dagster asset, its parts joined by slashes."""


class SnapshotSource(Spec):
    """What another pipeline made last; new data there flows on to this pipeline."""

    pipeline: Name
    """The other pipeline."""
    stage: Literal["ingest", "clean"] = "clean"
    """Its stage: `ingest` is held to the contract, `clean` to the rules as well."""


class AssetSource(Spec):
    """The table of a Dagster asset in an `assets.py` of your own; new data flows on."""

    asset: AssetPath
    """The asset's key, its parts joined by slashes, such as `raw/orders`."""


__all__ = ["AssetPath", "AssetSource", "SnapshotSource"]
