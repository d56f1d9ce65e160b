"""A user's mistake gives one helpful line and exit code 2, and changes nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry
from tests.commands import FactoryCommand, command, forked

_DEFS = """\
type: factory_assets.ModelPipeline
attributes:
  purpose: Tell good from bad
  ingest:
    source: {{files: data.csv}}
    contract:
      - {{name: size, type: float64}}
      - {{name: label, type: string}}
  clean: {{where: {{positive: "{rule}"}}}}
  train: {{target: {target}, model: {{kind: linear}}}}
"""


def _declare(folder: Path, rule: str = "size > 0", target: str = "label") -> None:
    pipeline = folder / "defs" / "apples"
    pipeline.mkdir(parents=True)
    (pipeline / "defs.yaml").write_text(_DEFS.format(rule=rule, target=target))
    rows = [f"{i % 7 + i / 10},{'good' if i % 7 > 3 else 'bad'}" for i in range(1, 200)]
    (pipeline / "data.csv").write_text("\n".join(["size,label", *rows]) + "\n")


def _one_line(done: subprocess.CompletedProcess[str], *parts: str, code: int = 2) -> None:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    errors = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(errors) == 1, done.stderr
    for part in parts:
        assert part in errors[0]


@pytest.fixture
def apples(tmp_path: Path) -> FactoryCommand:
    _declare(tmp_path)
    return forked(tmp_path / "home", FACTORY_DEFS=str(tmp_path / "defs"))


def test_unknown_pipeline(factory: FactoryCommand) -> None:
    _one_line(factory("run", "machine_failur"), "machine_failur", "did you mean 'machine_failure'")


def test_unknown_stage(factory: FactoryCommand) -> None:
    _one_line(factory("run", "machine_failure", "--stages", "trian"), "trian", "train, evaluate")


def test_mistyped_target(tmp_path: Path) -> None:
    _declare(tmp_path, target="lable")
    factory = forked(tmp_path / "home", FACTORY_DEFS=str(tmp_path / "defs"))
    _one_line(factory("check", "apples"), "defs.yaml:10", "lable", "label")
    _one_line(factory("run", "apples"), "defs.yaml:10", "lable")
    assert not (tmp_path / "home" / "tables").exists()


def test_unknown_column_in_a_rule(tmp_path: Path) -> None:
    _declare(tmp_path, rule="sise > 0")
    factory = forked(tmp_path / "home", FACTORY_DEFS=str(tmp_path / "defs"))
    _one_line(factory("check", "apples"), "defs.yaml:9", "sise", "size")


def test_stage_without_its_input(apples: FactoryCommand) -> None:
    asked = apples("run", "apples", "--stages", "train")
    _one_line(asked, "split", "run it first: factory run apples")


def test_predict_without_a_champion(apples: FactoryCommand, tmp_path: Path) -> None:
    data = tmp_path / "defs" / "apples" / "data.csv"
    _one_line(apples("predict", "apples", data), "apples", "champion")


def test_missing_file(apples: FactoryCommand, tmp_path: Path) -> None:
    (tmp_path / "defs" / "apples" / "data.csv").unlink()
    _one_line(apples("run", "apples"), "data.csv")


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = command(tmp_path / "file" / "home")("run", "tumour_diagnosis", cwd=tmp_path)
    _one_line(done, "FACTORY_HOME")


def test_debug_shows_the_traceback(factory: FactoryCommand) -> None:
    done = factory("--debug", "run", "nowhere")
    assert "Traceback" in done.stderr
    assert done.returncode != 0


def test_gates_refuse_and_the_old_champion_stays(apples: FactoryCommand, tmp_path: Path) -> None:
    first = apples("run", "apples")
    assert first.returncode == 0, first.stdout + first.stderr
    file = tmp_path / "defs" / "apples" / "defs.yaml"
    gates = "  evaluate: {gates: [{metric: brier, at_most: -1}]}\n"
    file.write_text(file.read_text().replace("kind: linear}", "kind: linear}, seed: 1") + gates)
    _one_line(apples("run", "apples"), "brier", "v2", code=1)
    _one_line(apples("run", "apples", "--stages", "deploy"), code=1)
    assert Registry(Home(tmp_path / "home")).champion("apples") == 1


def _start(tmp_path: Path) -> "subprocess.Popen[bytes]":
    home, defs = str(tmp_path / "home"), str(tmp_path / "defs")
    return subprocess.Popen(
        [sys.executable, "-m", "factory_assets.cli", "run", "apples"],
        env={**os.environ, "FACTORY_HOME": home, "FACTORY_DEFS": defs},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _started(tmp_path: Path) -> "subprocess.Popen[bytes]":
    """Start a run and wait until it has cleaned its rows."""
    _declare(tmp_path)
    process = _start(tmp_path)
    while not (tmp_path / "home" / "records" / "apples" / "latest" / "clean.json").exists():
        assert process.poll() is None
    return process


@pytest.mark.slow
def test_the_run_after_a_killed_one_succeeds(tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = _started(tmp_path)
    process.kill()
    process.wait()
    factory = forked(home, FACTORY_DEFS=str(tmp_path / "defs"))
    done = factory("run", "apples")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("reused") >= 2
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        statuses = sorted(run.status.value for run in instance.get_runs())
    assert statuses == ["FAILURE", "SUCCESS"]


@pytest.mark.slow
def test_an_interrupted_run_prints_one_line(tmp_path: Path) -> None:
    process = _started(tmp_path)
    # As a terminal does, which sends it to the processes of the run, too.
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    expected = "interrupted; finished stages are stored, run the command again to resume"
    assert errors.decode().strip() == expected


@pytest.mark.long
@pytest.mark.slow
def test_two_concurrent_runs_share_the_work(tmp_path: Path) -> None:
    _declare(tmp_path)
    both = [_start(tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum(out.decode().count("reused") for out, _ in outputs) >= 6
    assert Registry(Home(tmp_path / "home")).champion("apples") == 1
