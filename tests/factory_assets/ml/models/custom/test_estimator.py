"""Estimators by dotted path: storage without pickle, ONNX export, errors in one line."""

import json
import warnings
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from sklearn.svm import SVC

from factory_assets.execution import cache_key
from factory_assets.ml.artifacts.trained_model import save_trained
from factory_assets.ml.models.base import Shape
from factory_assets.ml.models.custom import construction
from factory_assets.ml.models.custom.onnx_export import custom_graph
from factory_assets.ml.models.custom.serialization import load_estimator
from factory_assets.ml.training.fitting import fit
from factory_assets.spec.models import OwnModule
from factory_resources.errors import DeclarationError, ModelError
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import pipeline, rows
from tests.factory_assets.ml.models.test_kinds import fitted, same_everywhere
from tests.long_run import in_long

pytestmark = pytest.mark.slow

OWN = """
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.svm import LinearSVC

class Bushes(ExtraTreesClassifier):
    def __init__(self, n_estimators=10, max_depth=4, random_state=None):
        super().__init__(n_estimators=n_estimators, max_depth=max_depth, random_state=random_state)

class Bent(Bushes):
    def predict_proba(self, X):
        return super().predict_proba(X) ** 2

class Alone(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = [0, 1]
        return self
    def predict_proba(self, X):
        return X[:, :2]

class Holding(LogisticRegression):
    def fit(self, X, y):
        self.opened = open(__file__)
        return super().fit(X, y)

class Thing:
    pass

def two():
    return [("trees", ExtraTreesClassifier(5)), ("line", LogisticRegression())]

def vote():
    return VotingClassifier(two(), voting="soft")

def stack(last=None):
    return make_pipeline(SelectKBest(k=4), StackingClassifier(two(), last, cv=2))

def stack_of_no_probabilities():
    return stack(LinearSVC())

def curved(degree=2):
    return make_pipeline(
        SelectKBest(k=4), PolynomialFeatures(degree), Bushes(n_estimators=5, max_depth=None)
    )
"""


def mine(folder: Path, name: str, **more: Any) -> dict[str, Any]:
    (folder / "mine.py").write_text(OWN)
    return {"python": f"mine:{name}", **more}


@pytest.mark.parametrize(
    ("name", "args", "task"),
    [
        ("ensemble:ExtraTreesClassifier", {"n_estimators": 10, "n_jobs": 2}, "multiclass"),
        ("ensemble:HistGradientBoostingClassifier", {"max_iter": 10}, "binary"),
        ("linear_model:LogisticRegressionCV", {"cv": 3}, "multiclass"),
        ("svm:SVR", {}, "regression"),
        *in_long(
            [
                ("ensemble:ExtraTreesRegressor", {"n_estimators": 10}, "regression"),
                ("ensemble:GradientBoostingRegressor", {"n_estimators": 10}, "regression"),
                ("neural_network:MLPClassifier", {"max_iter": 20}, "binary"),
                ("calibration:CalibratedClassifierCV", {"cv": 3}, "binary"),
            ]
        ),
    ],
)
def test_scikit_learn_estimator_is_stored_exported_and_reproducible(
    name: str, args: dict[str, Any], task: str, tmp_path: Path
) -> None:
    model = {"python": f"sklearn.{name}", "args": args}
    result = fitted(tmp_path, model, task)
    same_everywhere(result.trained, tmp_path, task, 1e-5)
    assert result.validation.get("roc_auc", result.validation.get("r2", 0.0)) > 0.6
    again = fitted(tmp_path, model, task)
    digests = []
    for number, fit_result in enumerate((result, again)):
        (tmp_path / f"{number}").mkdir()
        digests.append(save_trained(fit_result.trained, tmp_path / f"{number}"))
    assert digests[0] == digests[1]


def test_a_class_in_a_sibling_of_the_users_module_is_stored_and_exported(tmp_path: Path) -> None:
    mine(tmp_path, "Bushes")
    (tmp_path / "made.py").write_text("from mine import curved\n")
    result = fitted(tmp_path, {"python": "made:curved"})
    same_everywhere(result.trained, tmp_path, "binary", 1e-5)


@pytest.mark.parametrize("name", ["Bushes", "curved", "vote", "stack"])
def test_users_estimator_is_stored_and_exported(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result = fitted(tmp_path, mine(tmp_path, name))
    same_everywhere(result.trained, tmp_path, "binary", 1e-5)
    assert result.trained.model.parameters > 100
    assert capfd.readouterr().err == ""


def test_stored_bytes_do_not_depend_on_the_folder_of_the_declaration(tmp_path: Path) -> None:
    contents = []
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        result = fitted(folder, mine(folder, "Bushes"))
        (folder / "files").mkdir()
        save_trained(result.trained, folder / "files")
        contents.append((folder / "files" / "estimator.skops").read_bytes())
    assert contents[0] == contents[1]
    assert b"mine" in contents[0]


def test_class_weights_raise_the_rare_class_or_are_refused(tmp_path: Path) -> None:
    model = mine(tmp_path, "curved")
    plain = fitted(tmp_path, model).trained.outputs(rows(300, 3))
    weighted = fitted(tmp_path, model, class_weights="balanced").trained.outputs(rows(300, 3))
    assert weighted[:, 1].mean() > plain[:, 1].mean()
    unable = {"python": "sklearn.neighbors:KNeighborsClassifier"}
    with pytest.raises(ModelError, match=r"train.class_weights: .*does not accept sample_weight"):
        fitted(tmp_path, unable, class_weights="balanced")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"python": "mine:Bent"},
            "cannot be exported to ONNX: Bent overrides predict_proba",
        ),
        ({"python": "mine:Alone"}, "mine:Alone cannot be exported to ONNX"),
        ({"python": "mine:Holding"}, "mine:Holding cannot be stored without pickle"),
        ({"python": "mine:Bushes", "args": {"depth": 3}}, "unexpected keyword argument 'depth'"),
        ({"python": "mine:Bushes", "args": {"max_depth": -3}}, "'max_depth' parameter"),
        ({"python": "mine:Bushes", "epochs": 3}, "epochs is a setting for training networks"),
        ({"python": "sklearn.svm:LinearSVC"}, "has no predict_proba"),
        ({"python": "mine:stack_of_no_probabilities"}, "has no predict_proba"),
        ({"python": "sklearn.linear_model:Ridge"}, "no predict_proba.*or set train.task: regress"),
        (
            {"python": "sklearn.semi_supervised:LabelPropagation"},
            r"cannot be exported to ONNX: .*_label_propagation\.LabelPropagation'>'; choose",
        ),
    ],
)
def test_unusable_estimator_is_one_line(
    model: dict[str, Any], message: str, tmp_path: Path
) -> None:
    mine(tmp_path, "Bushes")
    with pytest.raises((ModelError, DeclarationError), match=message) as caught:
        fitted(tmp_path, model)
    assert "\n" not in str(caught.value)


def test_what_the_exporter_is_warned_of_is_not_printed() -> None:
    inputs = np.random.default_rng(0).normal(size=(60, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        machine = SVC(probability=True).fit(inputs, inputs[:, 0] > 0)
    shape = Shape(task="binary", numbers=2, cardinalities=(), outputs=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert custom_graph(machine, shape, OwnModule(python="sklearn.svm:SVC")).graph.output


def test_a_class_that_is_no_model_is_an_error_of_the_declaration(tmp_path: Path) -> None:
    mine(tmp_path, "Bushes")
    message = "mine:Thing is neither a LightningModule nor a scikit-learn estimator"
    with pytest.raises(DeclarationError, match=message):
        fitted(tmp_path, {"python": "mine:Thing"})


def test_trial_fit_on_few_rows_finds_errors_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        OWN.replace("return self\n", "open('seen', 'a').write(f'{len(X)} ')\n        return self\n")
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(construction, "SAMPLE_ROWS", 100)
    declared = pipeline(tmp_path, {"python": "mine:Alone"})
    with pytest.raises(ModelError, match="cannot be exported"):
        fit(declared, rows(600, 1), rows(200, 2), Home(tmp_path / "home"))
    assert (tmp_path / "seen").read_text() == "100 "


def test_a_classifier_is_refused_for_a_regression(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="mine:Bushes is not a regressor"):
        fitted(tmp_path, mine(tmp_path, "Bushes"), "regression")


def test_untrusted_types_are_not_loaded(tmp_path: Path) -> None:
    result = fitted(tmp_path, mine(tmp_path, "Bushes"))
    files = tmp_path / "files"
    files.mkdir()
    save_trained(result.trained, files)
    spec: Any = result.trained.description.spec
    with ZipFile(files / "estimator.skops") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(contents["schema.json"])
    schema["__module__"], schema["__class__"] = "subprocess", "Popen"
    with ZipFile(files / "estimator.skops", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, json.dumps(schema) if name == "schema.json" else content)
    with pytest.raises(ModelError, match=r"contains subprocess.Popen, which is not trusted"):
        load_estimator((files / "estimator.skops").read_bytes(), spec, tmp_path)
    with pytest.raises(ModelError, match="do not use this artefact"):
        load_estimator(b"nothing", spec, tmp_path)


def test_editing_the_users_module_changes_the_cache_key(tmp_path: Path) -> None:
    declared = pipeline(tmp_path, mine(tmp_path, "Bushes"))
    before = cache_key.cache_key_components(declared, "train", {})["user code"]
    assert cache_key.cache_key_components(declared, "train", {})["user code"] == before
    (tmp_path / "mine.py").write_text(OWN.replace("max_depth=4", "max_depth=5"))
    assert cache_key.cache_key_components(declared, "train", {})["user code"] != before


def test_outputs_of_a_users_pipeline_are_finite(tmp_path: Path) -> None:
    result = fitted(tmp_path, mine(tmp_path, "curved"))
    assert np.isfinite(result.trained.outputs(rows(50, 4))).all()
