"""The same rows, declaration and seed give the same model, bit for bit, in whatever process."""

import json
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

home, found = Home(Path(sys.argv[1])), {}
for kind in KINDS:
    for seed in (3, 4):
        made = pipeline(home.path, KINDS[kind], seed=seed)
        trained = fit(made, rows(1500, 1), rows(300, 2), home).trained
        with home.scratch() as files:
            digest = save_trained(trained, files)
        found[f"{kind} {seed}"] = digest, sha256(export(trained)).hexdigest()
print(json.dumps(found))
"""


@pytest.mark.slow
def test_two_processes_make_the_same_model(tmp_path: Path) -> None:
    one, other = (
        json.loads(
            subprocess.run(
                [sys.executable, "-c", SCRIPT, str(tmp_path / name)],
                cwd=PROJECT,
                env={"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": name},
                capture_output=True,
                check=True,
                text=True,
            ).stdout.splitlines()[-1]
        )
        for name in ("1", "2")
    )
    assert one == other
    for kind in set(KINDS) - {"linear"}:
        # Another seed is another model, so that equality above means something.
        if kind != "gradient_boosting":
            assert one[f"{kind} 3"] != one[f"{kind} 4"]
