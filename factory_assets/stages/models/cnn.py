"""A small convolutional network over pictures, beside which other columns may stand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from factory_assets.spec.network import Cnn
from factory_assets.spec.train import ModelSpec
from factory_assets.stages.models.base import Shape
from factory_assets.stages.models.network import NetworkModel

if TYPE_CHECKING:
    from factory_assets.stages.models.learning import Learning


class CnnModel(NetworkModel):
    """The pixels are the last of the numbers."""

    streams: ClassVar[bool] = False

    @classmethod
    def _build(cls, spec: ModelSpec, shape: Shape, folder: Path) -> Learning:
        from factory_assets.stages.models.cnn_module import CnnModule

        return CnnModule(shape, cast(Cnn, spec))
