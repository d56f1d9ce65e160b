"""One whole declaration: the sections in order, and the rules between them.

Reading a `defs.yaml` belongs in `declarations`.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from factory_assets.spec.base import STORED, Name, Spec, is_unset, listed, suggest
from factory_assets.spec.boundary import DeclaredBoundary
from factory_assets.spec.clean import Clean
from factory_assets.spec.deploy import Deploy
from factory_assets.spec.evaluate import FAIRNESS, Evaluate
from factory_assets.spec.ingest import Ingest
from factory_assets.spec.models import Cnn, SequenceNetwork
from factory_assets.spec.partition_places import require_own_files, require_places
from factory_assets.spec.partitions import (
    Partitions,
    TimePartitions,
    require_excludable,
)
from factory_assets.spec.schedule import Schedule
from factory_assets.spec.sources import FileSource, ImageSource
from factory_assets.spec.split import SplitRule
from factory_assets.spec.threshold import DecisionRule, default_rule
from factory_assets.spec.train import Train
from factory_assets.spec.uncertainty import missing_uncertainty
from factory_assets.spec.watch import Watching

_OWNER = re.compile(r"^(team:[A-Za-z0-9][\w.-]*|[^@\s:]+@[^@\s]+\.[^@\s.]+)\Z")


def _owner(value: str) -> str:
    if not _OWNER.match(value):
        raise ValueError(f"owner {value!r} is neither an e-mail address nor `team:name`")
    return value


class Risk(Spec):
    """The risk tier under the EU AI Act, which the operator assigns: the factory cannot know it."""

    tier: Literal["minimal", "limited", "high", "prohibited"] = "minimal"
    """The risk tier. `high` needs `area`, `deploy.approval`, and a `governance.yaml` before a
    version serves, and shows no rows in previews; `prohibited` is refused."""
    area: str | None = None
    """What the system is used for, in the words of the regulation, such as `medical device`.
    Required for `high`."""

    @model_validator(mode="after")
    def _allowed(self) -> Self:
        if self.tier == "prohibited":
            raise ValueError("a prohibited practice is refused; change the tier if it is another")
        if self.tier == "high" and not self.area:
            raise ValueError("risk tier high needs `area`, such as `medical device`")
        return self


class Arrivals(Spec):
    """A sensor that runs the pipeline when files arrive or change.

    In a pipeline with partitions, it ingests and cleans only those whose files changed.
    """

    settle: Annotated[float, Field(ge=0, le=86_400)] = 30.0
    """For how many seconds a file must stay unchanged before it counts as complete."""
    enabled: bool = False
    """Whether the sensor is on from the start. With `false`, switch it on in the UI."""


class PipelineSpec(Spec):
    """A pipeline, with its sections in the order in which they run."""

    purpose: Annotated[str, Field(min_length=1)]
    """What the model is for, in a sentence that its users would recognise."""
    owners: Annotated[tuple[Annotated[str, AfterValidator(_owner)], ...], listed] = ()
    """Who is responsible: e-mail addresses or `team:name`, such as
    `[jane@example.org, team:maintenance]`. Shown in the UI."""
    risk: Risk = Risk()
    """The risk tier under the EU AI Act. Default: `minimal`."""
    partitions: Partitions = {}
    """How the data is cut into partitions, by time or by key, such as
    `{day: {every: day, start: "2024-01-01"}}`. Each dimension must occur in the source, as in
    `files: "{day}.csv"`. Default: no partitions."""
    ingest: Ingest
    """Where the data comes from, and what it promises."""
    clean: Clean = Clean()
    """Rules, duplicates, derived columns and windows. Default: the ingested rows stay as they
    are."""
    split: SplitRule = SplitRule()
    """Which rows are for training, validation and test. Default: 20 % are for test and 10 % for
    validation, drawn at random."""
    train: Train | None = None
    """What is learned, and by which model. Default: the pipeline ends after `clean`, as a data
    product without a model."""
    evaluate: Evaluate = Evaluate()
    """How a candidate is judged, and what it must reach to be deployed."""
    deploy: Deploy = Deploy()
    """How exactly the served model must agree with the trained one, and who must approve it."""
    schedule: Schedule | None = None
    """When the pipeline runs automatically. Default: never."""
    arrivals: Arrivals | None = None
    """Run the pipeline when files arrive or change; `{}` uses the defaults. Default: arriving files
    start nothing."""

    watch: Annotated[Watching | None, Field(exclude_if=is_unset)] = None
    """Notice when the rows that the champion answers no longer resemble the training rows; `{}`
    uses the defaults. Default: nobody looks at the answers."""
    boundary: Annotated[DeclaredBoundary | None, Field(exclude_if=is_unset)] = None
    """What the runs may reach beside their own files: `required`, or `{allow: [HOST:PORT]}`.
    Default: nothing else, as far as the machine can enforce it."""

    @property
    def training(self) -> Train:
        """`train`, for the stages that only a pipeline with a model has."""
        if self.train is None:
            raise TypeError("this pipeline has no model")
        return self.train

    @model_validator(mode="after")
    def _sections_have_a_model(self, info: ValidationInfo) -> Self:
        # What was stored has every section, declared or not.
        if self.train is None and info.context != STORED:
            for part in ("split", "evaluate", "deploy", "watch"):
                if part in self.model_fields_set:
                    raise ValueError(
                        f"{part} needs `train`; a pipeline without it ends after clean"
                    )
        return self

    @model_validator(mode="after")
    def _high_risk_is_approved(self) -> Self:
        if self.risk.tier == "high" and self.train and self.deploy.approval is None:
            raise ValueError(
                "risk tier high needs an approval by a person: add `deploy: {approval: {}}`"
            )
        return self

    @model_validator(mode="after")
    def _files_can_arrive(self, info: ValidationInfo) -> Self:
        sources = self.ingest.every_source
        remote = any(isinstance(source, FileSource) and source.remote for source in sources)
        # What was stored before this was refused is still read.
        if self.arrivals and remote and info.context != STORED:
            raise ValueError("arrivals sees files on disk only, not objects in s3:// storage")
        if self.arrivals and not any(
            isinstance(source, FileSource | ImageSource) or getattr(source, "reads", None)
            for source in sources
        ):
            raise ValueError(
                "arrivals needs a source of files or images, or a Python function with `reads`"
            )
        return self

    @model_validator(mode="after")
    def _partitions_are_consistent(self, info: ValidationInfo) -> Self:
        times = [n for n, d in self.partitions.items() if isinstance(d, TimePartitions)]
        if len(times) > 1:
            raise ValueError(f"partitions {' and '.join(times)} are both of time; keep one")
        if times and self.ingest.contract.freshness:
            raise ValueError(
                "ingest.contract.freshness: a past period only gets older; leave freshness out, or "
                "the partitions of time"
            )
        if self.split.window and not times:
            raise ValueError("split.window needs partitions of time, such as `every: day`")
        if self.partitions and not all(c.type for c in self.ingest.contract.columns):
            raise ValueError(
                "a column without a type may differ between partitions; declare the `type` of each"
            )
        if self.partitions and not self.ingest.contract.columns:
            raise ValueError("partitions need ingest.contract, so that all have the same columns")
        for name in self.partitions:
            if name in self.ingest.columns:
                raise ValueError(
                    f"partition {name!r} is a column of the contract already; rename one of them"
                )
        require_excludable(self.partitions)
        if self.partitions:
            require_places(self.partitions, self.ingest.model_dump(exclude={"contract"}))
            for pattern in () if info.context == STORED else self.ingest.file_patterns:
                require_own_files(self.partitions, pattern)
        return self

    @model_validator(mode="after")
    def _search_metric_is_defined(self) -> Self:
        tune = self.train.tune if self.train else None
        metric = tune.metric or self.evaluate.metric if tune else None
        if metric in FAIRNESS:
            raise ValueError(
                f"train.tune.metric: trials are not compared by {metric}, which only test rows "
                "have; name another one in train.tune.metric, such as roc_auc"
            )
        needed = {"rmse_clipped": "clip", "asymmetric_score": "asymmetry"}.get(metric or "")
        if needed and getattr(self.evaluate, needed) is None:
            raise ValueError(f"train.tune.metric: {metric!r} needs evaluate.{needed}")
        return self

    @model_validator(mode="after")
    def _answers_can_be_enough(self, info: ValidationInfo) -> Self:
        answers = self.evaluate.answers
        # What was stored before this was refused is still read.
        if info.context != STORED and 0 < answers.newest < answers.at_least:
            raise ValueError(
                f"evaluate.answers: newest {answers.newest} is below at_least {answers.at_least}, "
                "so that there would never be a verdict; raise the one or lower the other"
            )
        return self

    @model_validator(mode="after")
    def _coverage_is_declared(self) -> Self:
        declared = self.train.uncertainty if self.train else None
        for gate in self.evaluate.conditions:
            if needed := missing_uncertainty(gate, declared):
                raise ValueError(
                    f"evaluate.gates: {gate.measured!r} needs train.uncertainty: {needed}"
                )
        return self

    @model_validator(mode="after")
    def _split_keeps_series_whole(self) -> Self:
        """Refuse to draw single rows, which would tear series apart, with windows across parts."""
        split = self.split
        whole = split.group or split.time or (split.given and split.given.validation)
        if isinstance(model := self.train and self.train.model, SequenceNetwork) and not whole:
            raise ValueError(
                f"the windows of train.model need whole series in each part; add split.group: "
                f"{model.by}, or split.time: {model.order}"
            )
        return self

    @model_validator(mode="after")
    def _groups_are_not_classes(self, info: ValidationInfo) -> Self:
        group = self.split.group
        # What was stored before this was refused is still read.
        if self.train and group == self.train.target and info.context != STORED:
            raise ValueError(
                f"split.group: {group!r} is the target, and no part but one would have a value of "
                "it; name what rows have in common, such as a patient, or write stratify instead"
            )
        return self

    @model_validator(mode="after")
    def _folds_suit_the_split(self) -> Self:
        """Refuse folds if the parts differ by more than chance: folds mix all rows."""
        way = next((way for way in ("time", "given") if getattr(self.split, way)), None)
        if self.evaluate.folds and way:
            why = {
                "time": "would train on rows that are later than those they evaluate",
                "given": "would mix the parts that the data itself names",
            }
            raise ValueError(
                f"evaluate.folds {why[way]} (split.{way}), which is easier than the test; "
                "leave it out"
            )
        if self.evaluate.folds and self.train and self.train.budget:
            raise ValueError(
                "evaluate.folds trains a model for each fold, which train.budget does not count; "
                "leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _keys_come_with_rows(self) -> Self:
        computed = {*self.ingest.labels, *self.partitions, *self.clean.columns}
        for name in self.deploy.log.keys:
            if name in computed:
                raise ValueError(
                    f"deploy.log.keys: {name!r} is computed, so that no request brings it; name a "
                    "column of the source"
                )
        return self

    @model_validator(mode="after")
    def _columns_exist(self) -> Self:
        if not self.ingest.contract.columns:
            return self
        if unknown := self.unknown_columns(self.columns()):
            raise ValueError("\n".join(unknown))
        return self

    @property
    def decision_rule(self) -> DecisionRule:
        """How the threshold of two classes is chosen."""
        declared = self.training.threshold
        return default_rule(self.evaluate.metric) if declared is None else declared

    def unknown_columns(self, known: tuple[str, ...]) -> list[str]:
        """Return one message for each named column that is not in `known`, with a suggestion."""
        return [
            f"{key}: no column {name!r}; {suggest(name, known)}"
            for key, name in self.named_columns()
            if name not in known
        ]

    def columns(self) -> tuple[str, ...]:
        """Return the columns of the clean table, as far as the declaration names them."""
        return (*self.ingest.columns, *self.partitions, *self.clean.columns)

    def named_columns(self) -> list[tuple[str, str]]:
        """Return each use of a column by name outside an expression, as (key, column)."""
        split, last, windows = self.split, self.evaluate.last, self.clean.windows
        given = split.given.column if split.given else None
        train, same = self.train, self.clean.deduplication
        series = train.model if train and isinstance(train.model, SequenceNetwork) else None
        picture = train.model.image if train and isinstance(train.model, Cnn) else None
        uncertainty = train.uncertainty if train else None
        uses = [
            ("train.target", [train.target] if train else []),
            ("train.exclude", train.exclude if train else []),
            ("train.text", (train.text or ()) if train else []),
            ("train.categorical", train.categorical if train else []),
            ("train.trend", train.trend if train else []),
            ("train.leaks.allow", train.leaks.allow if train else []),
            ("train.model.by", [series.by] if series else []),
            ("train.model.order", [series.order] if series else []),
            ("train.model.image", [picture]),
            ("train.uncertainty.by", [uncertainty.by] if uncertainty else []),
            ("split.stratify", [split.stratify]),
            ("split.group", [split.group]),
            ("split.time", [split.time]),
            ("split.given.column", [given]),
            ("clean.unify", self.clean.unify),
            ("clean.deduplicate", same.key if same else []),
            ("clean.deduplicate.order", [same.order] if same else []),
            ("clean.windows.by", [windows.by] if windows else []),
            ("clean.windows.order", [windows.order] if windows else []),
            ("clean.windows.columns", windows.columns if windows else []),
            ("evaluate.slices", self.evaluate.slices),
            ("evaluate.protected", self.evaluate.protected),
            ("evaluate.last.by", [last.by] if last else []),
            ("evaluate.last.order", [last.order] if last else []),
            ("deploy.log.keys", self.deploy.log.keys),
            ("watch.time", [self.watch.time if self.watch else None]),
        ]
        return [(key, name) for key, names in uses for name in names if name is not None]


@dataclass(frozen=True)
class Pipeline:
    """A declaration and its folder, whose name is the pipeline's name."""

    name: Name
    spec: PipelineSpec
    folder: Path
