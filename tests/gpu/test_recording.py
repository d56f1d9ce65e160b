"""What ran is recorded in a dated file; where there is no GPU, nothing is, and a line says so."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from factory_resources.home.home import PROJECT
from tests.gpu.__main__ import main
from tests.gpu.recording import without_gpu

pytestmark = pytest.mark.slow

_TESTS = """
import pytest

def test_a_thing_holds(record_property):
    record_property("Wh", 0.25)

def test_another_does_not():
    assert 1 == 2

@pytest.mark.parametrize("kind", ["a|b"])
def test_a_third_cannot_be_tried(kind):
    pytest.skip("NOT TESTED: there is one GPU | not two")
"""

_RUN = """
import sys
from pathlib import Path
import pytest
from tests.gpu.recording import Recording
options = ["-q", "-p", "no:cacheprovider", "--rootdir", sys.argv[1], "-c", "/dev/null"]
sys.exit(pytest.main([*options, sys.argv[1]], plugins=[Recording(Path(sys.argv[2]))]))
"""


def test_a_run_is_recorded_with_its_device_results_and_figures(tmp_path: Path) -> None:
    tests, kept = tmp_path / "tests", tmp_path / "kept"
    tests.mkdir()
    (tests / "test_three.py").write_text(_TESTS)
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(tests), str(kept)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    [file] = kept.iterdir()
    assert file.name == f"gpu-{datetime.now(UTC):%Y-%m-%d}.md"
    lines = file.read_text().splitlines()
    assert any(line.startswith("- torch ") for line in lines)
    assert any(line.startswith("- commit ") for line in lines)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[-3:]]
    assert [row[:2] for row in rows] == [
        ["a thing holds", "passed"],
        ["another does not", "failed"],
        ["a third cannot be tried[a/b]", "skipped"],
    ]
    assert rows[0][3] == "Wh 0.25"
    assert rows[2][3] == "NOT TESTED: there is one GPU / not two"


def test_without_a_gpu_nothing_is_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not without_gpu():
        pytest.skip("there is a GPU")
    assert main([], tmp_path) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: no CUDA GPU that PyTorch can use on this machine (torch ")
    assert errors.endswith("nothing was tested, and nothing is recorded\n")
    assert [*tmp_path.iterdir()] == []


def test_the_documentation_says_whether_it_has_run() -> None:
    kept = [*(PROJECT / "benchmarks").glob("gpu-*.md")]
    text = (PROJECT / "docs" / "extend.md").read_text()
    assert ("It has never run" in text) == (not kept)


def test_make_runs_it() -> None:
    # A make that runs inside another one also says which folder it leaves.
    command = ["make", "--dry-run", "--no-print-directory", "test-gpu"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].endswith("/python -m tests.gpu")
