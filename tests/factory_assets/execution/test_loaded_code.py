"""A result is not reused if anything changed that the user's code had loaded."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.explain import explain
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import IngestResult
from factory_resources.home.home import PROJECT, Home
from factory_resources.tables.snapshot import read_arrow
from tests.killed_steps import run_whole
from tests.pipelines import declare


def _ingest(folder: Path, home: Path, lib: Path, answer: Path) -> None:
    """Run the first stage with the modules of a folder; write what was told and done."""
    sys.path.insert(0, str(lib))
    call = StageRequest(load_pipeline(folder), "ingest", Home(home), "run")
    [told] = explain(call, ["ingest"], ())
    run = run_stage(call)
    assert isinstance(run.value, IngestResult)
    rows = read_arrow(run.value.snapshot, call.home, ["n"])["n"].to_pylist()
    loaded = run.record.parts.get("loaded")
    answer.write_text(json.dumps([told.what, told.why, run.reused, rows, loaded, run.record.key]))


# As `_ingest` in a process that has imported nothing before.
_ALONE = """
import sys
from pathlib import Path
from tests.factory_assets.execution.test_loaded_code import _ingest

_ingest(*map(Path, sys.argv[1:]))
"""


class _Project:
    """A pipeline with a Python source, and a folder of the user's modules elsewhere on the path."""

    def __init__(self, root: Path, source: str) -> None:
        self.folder, self.lib, self.home = root / "made", root / "lib", root / "home"
        self.lib.mkdir()
        attributes = {"purpose": "Made rows", "ingest": {"source": {"python": "made:rows"}}}
        attributes["ingest"]["source"]["reads"] = []  # type: ignore[index]
        declare(self.folder, attributes)
        (self.folder / "made.py").write_text(source)

    def write(self, name: str, code: str) -> None:
        path = self.lib / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)

    def run(self, *, anew: bool = False) -> tuple[str, str, bool, list[int], Any, str]:
        """Run in a process of its own, as each real run is: a module is loaded once in a process.

        Args:
            anew: whether it has not even imported what the factory itself needs.
        """
        answer = self.home.with_name("answer.json")
        arguments = self.folder, self.home, self.lib, answer
        if anew:
            subprocess.run([sys.executable, "-c", _ALONE, *arguments], cwd=PROJECT, check=True)
        else:
            run_whole(_ingest, *arguments)
        what, why, reused, rows, loaded, key = json.loads(answer.read_text())
        return what, why, reused, rows, loaded, key


_TABLE = "import pyarrow as pa\ndef table(n): return pa.table({'n': [n]})\n"

_WAYS = {
    "statement": "import tools\nrows = tools.rows\n",
    "in the function": "def rows():\n    import tools\n    return tools.rows()\n",
    "importlib": "import importlib\nrows = importlib.import_module('tools').rows\n",
    "importlib in the function": (
        "from importlib import import_module\n"
        "def rows():\n    return import_module('to' + 'ols').rows()\n"
    ),
    "from a folder of its own": (
        "import sys\nfrom pathlib import Path\n"
        "def rows():\n"
        "    sys.path.insert(0, str(Path(__file__).parent.parent / 'lib' / 'more'))\n"
        "    import extra\n    return extra.rows()\n"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "way",
    [
        "in the function",
        *(
            pytest.param(way, marks=pytest.mark.long)
            for way in (
                "from a folder of its own",
                "statement",
                "importlib",
                "importlib in the function",
            )
        ),
    ],
)
@pytest.mark.long
def test_an_edit_of_a_loaded_module_elsewhere_on_the_path(tmp_path: Path, way: str) -> None:
    project = _Project(tmp_path, _WAYS[way])
    project.write("base/__init__.py", _TABLE)
    project.write("base/numbers.py", "N = 1\n")
    project.write("base/unused.py", "N = 1\n")
    through = "import base, base.numbers\ndef rows(): return base.table(base.numbers.N)\n"
    project.write("tools.py", through)
    project.write("more/extra.py", through)
    assert project.run()[2:4] == (False, [1])
    what, _, reused, rows, loaded, first = project.run()
    assert (what, reused, rows) == ("reuse", True, [1])
    project.write("base/unused.py", "N = 2\n")
    assert project.run()[2]
    project.write("base/numbers.py", "N = 2\n")
    what, why, reused, rows, _, _ = project.run()
    assert (what, why) == ("compute", "your module base.numbers changed")
    assert (reused, rows) == (False, [2])
    # What an earlier run computed from the same modules is found again.
    project.write("base/numbers.py", "N = 1\n")
    assert project.run()[2:4] == (True, [1])
    assert project.run()[5] == first
    assert {"made", "base", "base.numbers"} <= loaded["modules"].keys()
    assert "pyarrow" in loaded["libraries"]


@pytest.mark.slow
def test_another_version_of_a_library_that_was_loaded(tmp_path: Path) -> None:
    project = _Project(tmp_path, "import counting\ndef rows(): return counting.table(1)\n")

    def release(version: str) -> None:
        for old in (project.lib / "site-packages").glob("*.dist-info"):
            for path in old.iterdir():
                path.unlink()
            old.rmdir()
        folder = project.lib / "site-packages" / f"counting-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Name: counting\nVersion: {version}\n")
        (folder / "top_level.txt").write_text("counting\n")

    release("1.0")
    (project.lib / "site-packages" / "counting.py").write_text(_TABLE)
    project.lib = project.lib / "site-packages"
    assert not project.run()[2]
    assert project.run()[2]
    project.lib = project.lib.parent
    release("1.1")
    project.lib = project.lib / "site-packages"
    assert project.run()[1:3] == ("library counting 1.0 → 1.1", False)


@pytest.mark.slow
def test_pandas_and_what_it_needs_are_recorded(tmp_path: Path) -> None:
    project = _Project(
        tmp_path,
        "from scipy import stats\nimport pandas as pd\n"
        "def rows(): return pd.DataFrame({'n': [int(stats.norm.cdf(0) * 2)]})\n",
    )
    loaded = project.run(anew=True)[4]
    assert {"pandas", "numpy", "scipy", "python-dateutil"} <= loaded["libraries"].keys()
    assert all(loaded["libraries"].values())
    assert [*loaded["modules"]] == ["made"]


@pytest.mark.slow
def test_a_module_that_was_missing_and_is_installed_later(tmp_path: Path) -> None:
    project = _Project(
        tmp_path,
        "import pyarrow as pa\ntry:\n    from late_arrival import N\nexcept ImportError:\n"
        "    N = 1\ndef rows(): return pa.table({'n': [N]})\n",
    )
    assert project.run()[3] == [1]
    assert project.run()[2]
    project.write("late_arrival.py", "N = 2\n")
    assert project.run()[1:4] == ("your module late_arrival is new", False, [2])
