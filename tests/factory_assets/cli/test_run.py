"""`factory run` and `--explain` of a pipeline without a model, and errors in their arguments."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from rich.console import Console

from factory_assets.cli import explain
from factory_assets.cli.check.check import check
from factory_assets.cli.explain import print_plan
from factory_assets.cli.main import main
from factory_assets.cli.predict import predict_file
from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_assets.definitions import build_defs
from factory_assets.spec import Pipeline
from factory_resources.errors import DataError, DeclarationError, FactoryError, ModelError
from factory_resources.home.home import Home
from factory_resources.tracking.run_history import has_failed
from tests.pipelines import APPLES, declare, write_apples


@pytest.fixture
def product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A pipeline without `train`: a data product that ends after `clean`."""
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    attributes = {key: APPLES[key] for key in ("purpose", "ingest", "clean")}
    (tmp_path / "apples").mkdir()
    write_apples(tmp_path / "apples")
    return declare(tmp_path / "apples", {**attributes, "schedule": {"cron": "0 2 * * *"}})


def output_of(command: Any, **options: Any) -> str:
    console = Console(record=True, width=120)
    command(RunSelection(["apples"], **options), console)
    return console.export_text()


def test_a_data_product_runs_to_clean(product: Pipeline) -> None:
    assert check(["apples"]) == []
    text = output_of(run)
    assert "apples · clean" in text
    assert "split" not in text
    assert "200 clean" in text
    assert "champion" not in text
    with dg.DagsterInstance.get() as instance:
        # The daemon of a factory that is up ends no run of somebody at a terminal.
        assert {one.tags["dagster/max_runtime"] for one in instance.get_runs()} == {"0"}
        # Without an origin, the pages of Dagster fail with a traceback when they are to repeat it.
        origins = [one.remote_job_origin for one in instance.get_runs()]
    assert [one and one.repository_origin.get_label() for one in origins] == [
        "__repository__@factory"
    ]
    again = output_of(run)
    assert again.count("reused") == 3
    assert output_of(print_plan).count("reuse (computed") == 2


def test_a_run_in_which_nothing_changed_ends_the_alarm_of_a_failed_one(product: Pipeline) -> None:
    output_of(run)
    data = product.folder / "data.csv"
    before = data.read_bytes()
    data.write_bytes(before + b"one cell\n")
    with pytest.raises(FactoryError):
        output_of(run)
    home = Home.from_env()
    assert has_failed(home, "apples")
    data.write_bytes(before)
    assert output_of(run).count("reused") == 3
    assert not has_failed(home, "apples")
    assert not has_failed(home, "pears")
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs_count()
        output_of(run)
        assert instance.get_runs_count() == runs == 3


def test_of_several_pipelines_each_error_names_its_own(
    product: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(product.folder, product.folder.parent / "pears")
    places = iter(("train.model", "pears/train"))

    @contextmanager
    def refusing(home: Home) -> Iterator[Callable[..., ModelError]]:
        yield lambda request, listener: ModelError("no", where=next(places), remedy="yes")

    monkeypatch.setattr("factory_assets.cli.run.is_inside", lambda: True)
    monkeypatch.setattr("factory_assets.cli.run._execution", refusing)
    console = Console(record=True, width=120)
    with pytest.raises(ModelError) as raised:
        run(RunSelection(["apples", "pears"]), console)
    assert str(raised.value) == "apples: train.model: no; yes"
    assert "\npears/train: no; yes\n" in console.export_text()


def test_the_job_and_schedule_of_a_data_product_end_at_clean(product: Pipeline) -> None:
    definitions = build_defs([product.folder])
    job = definitions.resolve_job_def("apples")
    assert {node.name for node in job.nodes} == {"apples__ingest", "apples__clean"}
    assert definitions.resolve_schedule_def("apples_schedule").job_name == "apples"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": ["train"]}, "a pipeline without `train` has no stage 'train'; its stages are"),
        ({"stages": ["clena"]}, "no stage 'clena'; the stages are ingest, clean"),
        ({"partitions": ["2024-01-01"]}, "this pipeline has no partitions; leave out --partition"),
    ],
)
@pytest.mark.parametrize("command", [run, print_plan])
def test_wrong_arguments_are_reported_before_anything_runs(
    product: Pipeline, tmp_path: Path, command: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DeclarationError, match=message):
        output_of(command, **options)
    assert not (tmp_path / "home").exists()


def test_of_a_pipeline_that_is_declared_twice_nothing_runs(
    product: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = shutil.copytree(product.folder, tmp_path / "others" / "apples")
    monkeypatch.setenv("FACTORY_DEFS", f"{product.folder.parent}:{copied.parent}")
    line = (
        f"error: {copied}/defs.yaml: pipeline 'apples' is also declared in {product.folder}; "
        "rename one of the folders\n"
    )
    ended = CliRunner().invoke(main, ["run", "apples"])
    assert (ended.exit_code, ended.stderr) == (2, line)
    assert not (tmp_path / "home").exists()
    shutil.copytree(product.folder, copied.parent / "pears")
    both = CliRunner().invoke(main, ["run", "apples", "pears"])
    assert (both.exit_code, both.stderr, "pears · clean" in both.output) == (2, line, True)


def test_inside_a_boundary_a_broken_pipeline_hides_no_plan_of_the_others(
    product: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = product.folder.parent / "pears"
    broken.mkdir()
    (broken / "defs.yaml").write_text("type: factory_assets.ModelPipeline\n")

    def inside(command: Sequence[str], *_: object) -> str:
        # It would end with 2, and nothing would be known but that.
        assert list(command[command.index("--") + 1 :]) == ["apples"]
        return "the plan of apples\n"

    monkeypatch.setattr(explain, "names_sources", lambda _: True)
    monkeypatch.setattr(explain, "output_inside", inside)
    with pytest.raises(DeclarationError, match="pears"):
        print_plan(RunSelection(["apples", "pears"]), Console(width=120))
    assert capsys.readouterr().out == "the plan of apples\n"


def test_a_data_product_cannot_predict(product: Pipeline) -> None:
    with pytest.raises(ModelError, match="'apples' has no model; declare `train`"):
        predict_file("apples", product.folder / "data.csv", None)


@pytest.mark.parametrize("name", ["data.csv", "link.csv"])
def test_a_file_is_not_replaced_by_its_predictions(name: str, product: Pipeline) -> None:
    file = product.folder / "data.csv"
    (product.folder / "link.csv").symlink_to(file)
    with pytest.raises(DataError, match=f"{name}: is the file that is scored; choose another name"):
        predict_file("apples", file, product.folder / name)


def test_workers_are_a_number_and_are_handed_on_to_the_run_inside(
    product: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = (
        "is 'two'; set it to a number of processes from 1 to 256, to ray://HOST:PORT of a Ray "
        "cluster, or leave it out\n"
    )
    option = CliRunner().invoke(main, ["run", "apples", "--workers", "two"])
    assert (option.exit_code, option.output) == (2, f"error: --workers {line}")
    monkeypatch.setenv("FACTORY_WORKERS", "two")
    variable = CliRunner().invoke(main, ["run", "apples"])
    assert (variable.exit_code, variable.output) == (2, f"error: FACTORY_WORKERS {line}")
    assert [*RunSelection(["apples"], workers=3).arguments()] == [
        "run",
        "--workers=3",
        "--",
        "apples",
    ]
    assert "--workers" not in " ".join(RunSelection(["apples"]).arguments())
