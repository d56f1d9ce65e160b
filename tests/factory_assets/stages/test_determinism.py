"""The same rows, declaration and seed give the same model, bit for bit, in whatever process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from factory_resources.home.home import PROJECT
from tests.factory_assets.ml.models.cases import KINDS

SCRIPT = """
import json, sys
from pathlib import Path
from factory_assets.ml.artifacts.trained_model import save_trained
from factory_assets.ml.artifacts.onnx_export import export
from factory_assets.ml.training.fitting import fit
from factory_resources.home.home import Home
from hashlib import sha256
from tests.factory_assets.ml.models.cases import KINDS, pipeline, rows

home, seeds, found = Home(Path(sys.argv[1])), map(int, sys.argv[2:]), {}
for seed in seeds:
    for kind in KINDS:
        made = pipeline(home.path, KINDS[kind], seed=seed)
        trained = fit(made, rows(1500, 1), rows(300, 2), home).trained
        with home.scratch() as files:
            digest = save_trained(trained, files)
        found[f"{kind} {seed}"] = digest, sha256(export(trained)).hexdigest()
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_make_the_same_model(tmp_path: Path) -> None:
    one = _models(tmp_path / "1", "1", seeds=(3, 4))
    other = _models(tmp_path / "2", "2", seeds=(3,))
    assert other == {name: one[name] for name in other}
    assert len(other) == len(KINDS)
    for kind in set(KINDS) - {"linear"}:
        # Another seed is another model, so that equality above means something.
        if kind != "gradient_boosting":
            assert one[f"{kind} 3"] != one[f"{kind} 4"]


def _models(home: Path, hash_seed: str, seeds: tuple[int, ...]) -> dict[str, list[str]]:
    """Return the digests of the models that a process of its own makes in a home."""
    threads = {name: value for name, value in os.environ.items() if name == "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(home), *map(str, seeds)],
        cwd=PROJECT,
        env={"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": hash_seed, **threads},
        capture_output=True,
        check=True,
        text=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))
