"""Who predicts: the factory's kinds of model, and what others get in ten lines of code.

Every contestant gets the same rows and uses its defaults. The factory sets validation rows aside by
itself; the others learn from all rows. AutoGluon runs in a process of its own: `autogluon`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import TypeAdapter

from benchmarks.modelling.folds import TARGET, Answer, Fold
from factory_assets.ml.training.fitting import fit
from factory_assets.spec import ModelSpec
from factory_resources.home.home import Home

DECLARED = "declared"
KINDS = (
    "auto",
    "linear",
    "random_forest",
    "extra_trees",
    "gradient_boosting",
    "lightgbm",
    "mlp",
    "tabm",
)


class Contestant(Protocol):
    """Learns from the rows of a fold and predicts its judged rows."""

    @property
    def name(self) -> str: ...

    def answer(self, fold: Fold) -> Answer: ...


@dataclass(frozen=True)
class Kind:
    """A kind of model with the factory's default settings; without a kind, the declared model."""

    kind: str | None
    home: Home

    @property
    def name(self) -> str:
        return self.kind or DECLARED

    def answer(self, fold: Fold) -> Answer:
        adapter: TypeAdapter[ModelSpec] = TypeAdapter(ModelSpec)
        model = adapter.validate_python({"kind": self.kind}) if self.kind else None
        fitted = fit(fold.pipeline, fold.training, fold.validation, self.home, model=model)
        outputs = fitted.trained.outputs(fold.test, fold.judged)
        return Answer(
            outputs,
            fitted.trained.description.threshold,
            fitted.trained.description.regions,
            fitted.validation.get(fold.metrics[0]),
        )


@dataclass(frozen=True)
class Plain:
    """An estimator as its documentation first shows it."""

    name: str

    def answer(self, fold: Fold) -> Answer:
        learned, judged = fold.frames
        inputs = learned.drop(columns=TARGET)
        numbers = [c for c in inputs.columns if c not in fold.names]
        is_number = fold.target.task == "regression"
        model = _BUILD[self.name](numbers, fold.names, is_number, fold.seed)
        model.fit(inputs, learned[TARGET])
        return Answer(model.predict(judged) if is_number else model.predict_proba(judged))


def _linear(numbers: list[str], names: list[str], is_number: bool, seed: int) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    prepared = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore"), names),
    )
    return make_pipeline(prepared, Ridge() if is_number else LogisticRegression(max_iter=1000))


def _codes(numbers: list[str], names: list[str]) -> Any:
    """Encode names as numbers; those beyond 254 in a column count as one."""
    from sklearn.compose import make_column_transformer
    from sklearn.preprocessing import OrdinalEncoder

    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=float("nan"), max_categories=254
    )
    return make_column_transformer((encoder, names), ("passthrough", numbers))


def _forest(numbers: list[str], names: list[str], is_number: bool, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.pipeline import make_pipeline

    forest = RandomForestRegressor if is_number else RandomForestClassifier
    return make_pipeline(_codes(numbers, names), forest(random_state=seed))


def _histogram(numbers: list[str], names: list[str], is_number: bool, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline

    boosting = HistGradientBoostingRegressor if is_number else HistGradientBoostingClassifier
    coded = [*range(len(names))]
    return make_pipeline(
        _codes(numbers, names), boosting(categorical_features=coded, random_state=seed)
    )


def _lightgbm(numbers: list[str], names: list[str], is_number: bool, seed: int) -> Any:
    from lightgbm import LGBMClassifier, LGBMRegressor

    boosting = LGBMRegressor if is_number else LGBMClassifier
    return boosting(random_state=seed, verbose=-1)


_BUILD = {
    "scikit-learn linear": _linear,
    "scikit-learn forest": _forest,
    "scikit-learn boosting": _histogram,
    "LightGBM": _lightgbm,
}
PLAIN = (*_BUILD,)
