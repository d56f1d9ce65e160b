"""MLflow's own tools open and serve the champions where the factory is not installed."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from factory_assets.declarations.loader import load_pipeline
from factory_assets.ml.artifacts.onnx_model import load_champion
from factory_assets.results.data import SplitResult
from factory_assets.serving.batch import predict
from factory_resources.home.home import PROJECT, Home
from factory_resources.tables.snapshot import read_arrow
from factory_resources.tracking.records import Records
from tests.commands import forked
from tests.e2e.conftest import Demo
from tests.long_run import one_in
from tests.running_factory import free_port

pytestmark = pytest.mark.slow

SHIPPED = ("machine_failure", "tumour_diagnosis")

ROWS = 100

LOAD = """
import json, sys
from importlib.util import find_spec
import numpy as np
assert not find_spec("factory_assets") and not find_spec("factory_resources")
import mlflow, pandas as pd
answers = {}
for name in sys.argv[2:]:
    uri = f"models:/{name}@champion"
    model = mlflow.pyfunc.load_model(uri)
    frame = pd.read_parquet(f"{sys.argv[1]}/{name}.parquet")
    answers[name] = model.predict(frame)["probabilities"].tolist()
    example = model.predict(model.input_example)["probabilities"]
    assert example.shape == (1, 2) and np.isfinite(example).all()
    graph = mlflow.onnx.load_model(uri).graph
    assert {value.name for value in graph.input} == {*frame.columns}
assert "torch" not in sys.modules and "duckdb" not in sys.modules
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def approved(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home in which both models serve."""
    folder = tmp_path_factory.mktemp("approved")
    (folder / "defs").mkdir()
    factory = forked(
        shutil.copytree(demo.home, folder / "home"),
        FACTORY_DEFS=str(folder / "defs"),
        XDG_CONFIG_HOME=str(folder / "config"),
        FACTORY_PASSPHRASE="correct horse",
    )
    for arguments in (
        ("key", "new", "jane", "--role", "approver"),
        ("approve", "tumour_diagnosis", "--reason", "as good as the literature"),
    ):
        done = factory(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    return Home(folder / "home")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that has the libraries of this one, and not the factory.

    Installing them again would take minutes. The `.pth` files among them are not read, so that an
    editable installation of the factory does not count.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    Path(paths["purelib"], "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def frames(approved: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Test rows of each model as pandas reads them, with values that are missing."""
    folder = tmp_path_factory.mktemp("frames")
    for name in SHIPPED:
        frame = scorable(name, approved)
        first = frame.columns[0]
        frame.loc[3, [first, "type"] if "type" in frame else [first]] = None
        frame.to_parquet(folder / f"{name}.parquet")
    return folder


def scorable(name: str, home: Home) -> pd.DataFrame:
    record = Records(home).latest(name, "split")
    assert record is not None
    test = SplitResult.model_validate(record.value).test
    columns = [*load_champion(name, home)[1].inputs]
    rows = read_arrow(test, home, columns).slice(0, ROWS)
    return pd.DataFrame({column: rows[column].to_pandas() for column in columns})


def served(name: str, home: Home, frames: Path) -> np.ndarray[Any, Any]:
    """Return what the factory's own graph answers."""
    import pyarrow.parquet as pq

    rows = pq.read_table(frames / f"{name}.parquet")
    return load_champion(name, home)[1].outputs(rows)


def environment(home: Home) -> dict[str, str]:
    # MLflow, where a test has used it in this process, has written addresses into the environment.
    apart = ("PYTHONPATH", "VIRTUAL_ENV", "MLFLOW_", "_MLFLOW_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(apart)}
    return {**kept, "MLFLOW_TRACKING_URI": f"sqlite:///{home.mlflow_database}"}


@contextmanager
def serving(name: str, home: Home, python: Path) -> Iterator[str]:
    """Run `mlflow models serve`; yield the address that answers."""
    port = free_port()
    start = [python, "-m", "mlflow", "models", "serve", "-m", f"models:/{name}@champion"]
    # It starts its server as `uvicorn`, which is not beside this Python.
    path = f"{python.parent}:{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    process = subprocess.Popen(
        [*start, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)],
        env={**environment(home), "PATH": path},
        cwd=home.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not answers(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 15)
        process.wait(30)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5) as said:
            return bool(said.status == 200)
    except OSError:
        return False


def post(address: str, **body: Any) -> Any:
    content = json.dumps(body).encode()
    request = urllib.request.Request(address, content, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as said:
        return json.load(said)["predictions"]["probabilities"]


def test_loads_without_the_factory(approved: Home, elsewhere: Path, frames: Path) -> None:
    done = subprocess.run(
        [elsewhere, "-c", LOAD, frames, *SHIPPED],
        env=environment(approved),
        cwd=frames,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for name in SHIPPED:
        assert len(found[name]) == ROWS
        np.testing.assert_allclose(found[name], served(name, approved, frames), atol=1e-6)


@pytest.mark.parametrize("name", one_in(2, SHIPPED))
def test_serves_frames_as_json(name: str, approved: Home, elsewhere: Path, frames: Path) -> None:
    frame = pd.read_parquet(frames / f"{name}.parquet").head(20)
    split = json.loads(frame.to_json(orient="split", double_precision=15))
    records = json.loads(frame.to_json(orient="records", double_precision=15))
    expected = served(name, approved, frames)[:20]
    with serving(name, approved, elsewhere) as address:
        np.testing.assert_allclose(post(address, dataframe_split=split), expected, atol=1e-6)
        np.testing.assert_allclose(post(address, dataframe_records=records), expected, atol=1e-6)
        # A single row whose every value is missing has no type of its own.
        nothing = [dict.fromkeys(frame.columns)]
        assert np.isfinite(post(address, dataframe_records=nothing)).all()


def test_answers_are_those_of_factory_predict(
    approved: Home, elsewhere: Path, tmp_path: Path
) -> None:
    """Of a pipeline without derived columns, a file to be scored holds the model's own inputs."""
    name = "tumour_diagnosis"
    frame = scorable(name, approved)
    frame.to_csv(tmp_path / "new.csv", index=False)
    frame.to_parquet(tmp_path / f"{name}.parquet")
    scores = predict(
        load_pipeline(PROJECT / "factory_assets" / "defs" / name), tmp_path / "new.csv", approved
    )
    done = subprocess.run(
        [elsewhere, "-c", LOAD, tmp_path, name],
        env=environment(approved),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = np.array(json.loads(done.stdout.splitlines()[-1])[name])
    np.testing.assert_allclose(found[:, 0], scores["p_benign"].to_numpy(), atol=1e-6)
    np.testing.assert_allclose(found[:, 1], scores["p_malignant"].to_numpy(), atol=1e-6)
