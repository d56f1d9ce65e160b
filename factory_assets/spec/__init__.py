"""The keys of a `defs.yaml` as strict, frozen models: pure data.

This package imports neither Dagster nor any other package of the factory. Loading a file belongs in
`declarations`.
"""

from factory_assets.spec.base import IDENTITY, Spec
from factory_assets.spec.clean import Clean, Windows
from factory_assets.spec.contract import Column, Contract
from factory_assets.spec.deploy import Approval, Deploy
from factory_assets.spec.evaluate import METRICS, Evaluate, Gate, LastRow, Metric
from factory_assets.spec.ingest import Ingest, Join, PythonSource
from factory_assets.spec.linear import Linear
from factory_assets.spec.models import (
    Auto,
    Cnn,
    ExtraTrees,
    GradientBoosting,
    Gru,
    LightGbm,
    Mlp,
    OwnModule,
    RandomForest,
    SequenceNetwork,
    Tabm,
    Tcn,
    Transformer,
)
from factory_assets.spec.partitions import Partition, Partitions, partition_of, time_dimension
from factory_assets.spec.pipeline import Pipeline, PipelineSpec, Risk
from factory_assets.spec.schedule import Schedule
from factory_assets.spec.sources import (
    AnswersSource,
    AssetSource,
    DatabaseSource,
    DeltaSource,
    FileSource,
    ImageSource,
    SnapshotSource,
)
from factory_assets.spec.split import Given, SplitRule
from factory_assets.spec.train import ModelSpec, Train
from factory_assets.spec.tune import Choices, Span, Tune

__all__ = [
    "IDENTITY",
    "METRICS",
    "AnswersSource",
    "Approval",
    "AssetSource",
    "Auto",
    "Choices",
    "Clean",
    "Cnn",
    "Column",
    "Contract",
    "DatabaseSource",
    "DeltaSource",
    "Deploy",
    "Evaluate",
    "ExtraTrees",
    "FileSource",
    "Gate",
    "Given",
    "GradientBoosting",
    "Gru",
    "ImageSource",
    "Ingest",
    "Join",
    "LastRow",
    "LightGbm",
    "Linear",
    "Metric",
    "Mlp",
    "ModelSpec",
    "OwnModule",
    "Partition",
    "Partitions",
    "Pipeline",
    "PipelineSpec",
    "PythonSource",
    "RandomForest",
    "Risk",
    "Schedule",
    "SequenceNetwork",
    "SnapshotSource",
    "Span",
    "Spec",
    "SplitRule",
    "Tabm",
    "Tcn",
    "Train",
    "Transformer",
    "Tune",
    "Windows",
    "partition_of",
    "time_dimension",
]
