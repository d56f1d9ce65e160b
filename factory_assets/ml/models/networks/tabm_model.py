"""The factory's ensemble of networks for tables that share weights.

Training and storing networks belongs in `model.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from factory_assets.ml.models.base import Shape
from factory_assets.ml.models.networks.model import NetworkModel
from factory_assets.spec.models import Tabm
from factory_assets.spec.train import ModelSpec

if TYPE_CHECKING:
    import onnx

    from factory_assets.ml.models.networks.lightning.module import NetworkModule


class TabmModel(NetworkModel):
    """A TabM over standardised numbers and category codes."""

    statistics: ClassVar[bool] = True

    @classmethod
    def _build(cls, spec: ModelSpec, shape: Shape, folder: Path) -> NetworkModule:
        from factory_assets.ml.models.networks.modules.tabm import TabmModule

        declared = cast(Tabm, spec)
        return TabmModule(
            shape.numbers,
            shape.cardinalities,
            shape.outputs,
            members=declared.members,
            hidden=declared.hidden,
            dropout=declared.dropout,
            bins=declared.bins,
            embedding=declared.embedding,
        )

    def graph(self) -> onnx.ModelProto:
        from factory_assets.ml.models.networks.tabm_export import export_tabm

        return export_tabm(self.network, self._shape)
