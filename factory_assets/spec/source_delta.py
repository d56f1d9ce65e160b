"""Data in a Delta table that another system writes."""

from typing import Annotated

from pydantic import Field

from factory_assets.spec.base import Spec


class DeltaSource(Spec):
    """A Delta table on disk, its newest version or one of before; partition columns are columns."""

    delta: Annotated[str, Field(min_length=1)]
    """The table's folder; relative paths start at the folder of the `defs.yaml`."""
    version: Annotated[int, Field(ge=0)] | None = None
    """The version to read; the newest where it is left out."""


__all__ = ["DeltaSource"]
