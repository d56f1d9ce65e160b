"""`factory export-data`: read by the tools of Croissant and of the Open Data Contract Standard."""

import json
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import mlcroissant
import pyarrow.parquet
import pytest
import yaml
from click.testing import CliRunner, Result

from factory_assets.cli.main import main
from factory_assets.exchange.croissant import DataDescription, croissant
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline, partition_of
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot, TableFile
from tests.pipelines import APPLES, declare, enter, write_apples

pytestmark = pytest.mark.slow

STAGES: tuple[Stage, ...] = ("ingest", "clean", "split")
PRIVATE: dict[str, Any] = {
    **APPLES,
    "owners": ["team:orchard"],
    "ingest": {
        **APPLES["ingest"],
        "contract": [
            {"name": "size", "from": "size", "type": "float64", "sensitive": "personal"},
            *APPLES["ingest"]["contract"][1:],
        ],
    },
    "clean": {"where": {"positive": "size > 1"}, "derive": {"double": "size * 2"}},
    "train": {"target": "label", "model": {"kind": "linear"}},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home in which the tables of a pipeline are."""
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        write_apples(root / "defs" / "apples")
        _run(root, declare(root / "defs" / "apples", PRIVATE))
    return root


def _run(root: Path, pipeline: Pipeline) -> None:
    for stage in STAGES:
        run_stage(StageRequest(pipeline, stage, Home(root / "home"), "run"))


@pytest.fixture(autouse=True)
def _entered(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(made, monkeypatch)


def _export(name: str, kind: str, out: Path, *options: str) -> Result:
    return CliRunner().invoke(
        main, ["export-data", name, "--as", kind, "--out", str(out), *options]
    )


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    yield from mlcroissant.Dataset(jsonld=str(file)).records("rows-1")


def test_mlcroissant_reads_the_rows_of_every_table(made: Path) -> None:
    out = made / "croissant.json"
    for name in ("apples/clean", "apples/ingest", "apples/split.test"):
        result = _export(name, "croissant", out, "--license", "CC-BY-4.0")
        assert result.exit_code == 0, result.output
        assert "warning" not in result.output
        read = [*_rows(out)]
        [file] = json.loads(out.read_text())["distribution"]
        assert len(read) == pyarrow.parquet.read_metadata(made / file["contentUrl"]).num_rows > 0
        assert {one["rows-1/colour"] for one in read} == {b"red", b"green"}
    dataset = mlcroissant.Dataset(jsonld=str(out))
    assert dataset.metadata.ctx.issues.errors == set()
    [warning] = dataset.metadata.ctx.issues.warnings
    assert "citeAs" in warning


def test_columns_with_blanks_in_their_names_are_read(tmp_path: Path) -> None:
    cells = {"a_b": [1, 2], "a b": [3, 4], " a\tb": [5, 6]}
    path = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.table(cells), path)
    digest, size = sha256(path.read_bytes()).hexdigest(), path.stat().st_size
    described = croissant(
        Snapshot(
            table="p/clean",
            files=(TableFile(sha256=digest, rows=2, bytes=size),),
            columns=dict.fromkeys(cells, "BIGINT"),
        ),
        DataDescription("p_clean", "test", ["team:orchard"], "2026-11-30", [path.name], {}, "MIT"),
    )
    out = tmp_path / "croissant.json"
    out.write_text(json.dumps(described))
    read = {"rows-1/a_b": 1, "rows-1/a_b_": 3, "rows-1/a_b__": 5}
    assert next(_rows(out)) == read


def test_each_file_of_a_snapshot_is_a_set_of_records(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    attributes = {
        "purpose": "Two days",
        "owners": ["team:orchard"],
        "partitions": {"day": {"every": "day", "start": "2024-01-01"}},
        "ingest": {"source": {"files": "{day}.csv"}, "contract": APPLES["ingest"]["contract"]},
    }
    folder = tmp_path / "defs" / "days"
    for day, rows in (("2024-01-01", 3), ("2024-01-02", 5)):
        write_apples(folder, rows)
        (folder / "data.csv").rename(folder / f"{day}.csv")
        pipeline = declare(folder, attributes)
        key = partition_of(pipeline.spec.partitions, day)
        run_stage(StageRequest(pipeline, "ingest", Home(tmp_path / "home"), "run", key))
    out = tmp_path / "croissant.json"
    assert _export("days/ingest", "croissant", out).exit_code == 0
    dataset = mlcroissant.Dataset(jsonld=str(out))
    assert [len([*dataset.records(f"rows-{number}")]) for number in (1, 2)] == [3, 5]


def test_the_description_names_sensitive_columns_and_what_is_derived_from_them(
    made: Path, tmp_path: Path
) -> None:
    out = tmp_path / "croissant.json"
    _export("apples/clean", "croissant", out)
    described = json.loads(out.read_text())
    assert described["rai:personalSensitiveInformation"] == ["size", "double"]
    kinds = {one["name"]: one["dataType"] for one in described["recordSet"][0]["field"]}
    assert kinds["double"] == "sc:Float"
    assert kinds["_row"] == "sc:Integer"
    [file] = described["distribution"]
    assert (out.parent / file["contentUrl"]).stat().st_size == int(file["contentSize"].split()[0])


def test_what_croissant_requires_and_nobody_said_is_a_warning(made: Path, tmp_path: Path) -> None:
    """mlcroissant accepts a description without a name; the specification does not."""
    result = _export("apples/clean", "croissant", tmp_path / "croissant.json")
    assert "there is no license" in result.output
    assert "license" not in json.loads((tmp_path / "croissant.json").read_text())
    assert result.exit_code == 0


def test_a_changed_file_is_found_by_the_digest_of_its_description(made: Path) -> None:
    out = made / "damaged.json"
    _export("apples/split.validation", "croissant", out, "--license", "CC-BY-4.0")
    described = json.loads(out.read_text())
    described["distribution"][0]["sha256"] = "0" * 64
    out.write_text(json.dumps(described))
    with pytest.raises(mlcroissant.GenerationError) as error:
        [*_rows(out)]
    assert "is not identical with the reference" in str(error.value.__cause__)


def test_the_contract_of_a_table_is_valid_by_the_schema_of_the_standard(
    made: Path, tmp_path: Path
) -> None:
    schema = json.loads((files("open_data_contract_standard") / "schema.json").read_text())
    for name in ("apples/ingest", "apples/clean", "apples/split.train"):
        result = _export(name, "odcs", tmp_path / "contract.yaml")
        assert result.exit_code == 0, result.output
        contract = yaml.safe_load((tmp_path / "contract.yaml").read_text())
        jsonschema.validate(contract, schema)
        columns = {one["name"]: one for one in contract["schema"][0]["properties"]}
        # The table has the declared names; those of the source are not in it.
        assert not [name for name, one in columns.items() if "physicalName" in one]
    assert columns["double"]["classification"] == "personal"
    assert columns["double"]["logicalType"] == "number"
    assert contract["name"] == "apples_split_train"


def test_a_model_version_is_no_snapshot(tmp_path: Path) -> None:
    result = _export("apples@1", "croissant", tmp_path / "croissant.json")
    assert result.exit_code == 2
    assert "'apples@1' is not a snapshot" in result.output
