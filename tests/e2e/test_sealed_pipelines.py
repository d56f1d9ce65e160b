"""Whatever a pipeline does, inside a boundary the results are those that it has outside."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.boundary_reports import reports_folder
from factory_assets.execution.requests import StageRequest, stages_of
from factory_assets.execution.runner import run_stage
from factory_resources.boundary.inside import LEVEL_VARIABLE
from factory_resources.boundary.report import BoundaryReport, parse_report
from factory_resources.home.home import PROJECT
from tests.factory_resources.boundary.machine import needs_namespaces
from tests.loopback import relayed
from tests.pipelines import APPLES, declare, write_apples
from tests.postgres import Postgres
from tests.storage import S3
from tests.user_factory import UserFactory, user_factory

pytestmark = [pytest.mark.slow, pytest.mark.long, needs_namespaces]

_TRAIN = {
    "target": "label",
    "model": {"kind": "mlp", "hidden": [8], "epochs": 4, "batch_size": 64},
    "trainer": {"accelerator": "cpu", "devices": 2},
}
_COLUMNS = [{"name": "id", "type": "int64"}, {"name": "size", "type": "float64"}]


@pytest.fixture
def place() -> Iterator[UserFactory]:
    with user_factory() as made:
        yield made


def _run(place: UserFactory, *names: str) -> dict[tuple[str, str], str]:
    done = place.run(*names)
    assert done.returncode == 0, done.stdout + done.stderr
    found = place.digests()
    assert found
    return found


def _run_outside(place: UserFactory, *names: str) -> dict[tuple[str, str], str]:
    """Run the same in another home, without a boundary."""
    place.home.path.rename(place.path / "inside")
    place.variables[LEVEL_VARIABLE] = "none"
    return _run(place, *names)


def _run_here(place: UserFactory, name: str) -> dict[tuple[str, str], str]:
    """Run the same in another home and in this process, which has no boundary."""
    place.home.path.rename(place.path / "inside")
    pipeline = load_pipeline(place.path / "defs" / name)
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in place.variables.items():
            patch.setenv(variable, value)
        for stage in stages_of(pipeline):
            run_stage(StageRequest(pipeline, stage, place.home, "here"))
        return place.digests()


def _started(report: BoundaryReport) -> float:
    return report.started


@pytest.mark.parametrize(
    "names",
    [
        ("tumour_diagnosis", "machine_failure"),
        ("ai4i", "heart", "turbofan"),
        ("readmission",),
        ("turbofan_sequence",),
    ],
    ids=lambda names: names[0],
)
def test_shipped_pipelines(names: tuple[str, ...], real_data: Path, place: UserFactory) -> None:
    place.variables["FACTORY_DEFS"] = str(PROJECT / "examples")
    inside = _run(place, *names)
    assert [one.boundary for one in place.runs()] == ["namespaces"] * len(names)
    assert _run_outside(place, *names) == inside
    assert {one.boundary for one in place.runs()} == {"none"}


def test_two_processes_that_train_together(place: UserFactory) -> None:
    folder = place.path / "defs" / "apples"
    declare(folder, {**APPLES, "train": _TRAIN})
    write_apples(folder, rows=600)
    assert _run(place, "apples") == _run_here(place, "apples")


def test_storage_and_databases_that_are_allowed(
    place: UserFactory, s3: S3, postgres: Postgres
) -> None:
    rows = "\n".join(f"{number},{number % 7}.5" for number in range(300))
    s3.put("sealed/rows.csv", f"id,size\n{rows}\n".encode())
    postgres.execute(
        "CREATE ROLE sealed LOGIN PASSWORD 'secret'",
        "CREATE TABLE grades AS SELECT n AS id, n % 3 AS grade FROM generate_series(0, 299) n",
        "GRANT SELECT ON grades TO sealed",
        "CREATE DATABASE sealed_one OWNER sealed",
        "CREATE DATABASE sealed_two OWNER sealed",
    )
    with relayed(f"{postgres.socket}/.s.PGSQL.5432") as port:
        server = f"postgresql://sealed:secret@127.0.0.1:{port}"
        place.variables |= {
            "FACTORY_S3_ACCESS_KEY": "a",
            "FACTORY_S3_SECRET_KEY": "b",
            "GRADES": f"{server}/postgres",
            "FACTORY_DATABASE_URL": f"{server}/sealed_one",
        }
        storage = {"endpoint": s3.endpoint}
        source = {"files": "s3://plant/sealed/rows.csv", "storage": storage}
        joined = {"source": {"database": "GRADES", "table": "grades", "key": "id"}, "on": "id"}
        ingest = {"source": source, "joins": {"grades": joined}, "contract": {"columns": _COLUMNS}}
        allow = [s3.endpoint.removeprefix("http://"), f"127.0.0.1:{port}"]
        declared = {"purpose": "Grades.", "ingest": ingest}
        declare(place.path / "defs" / "graded", {**declared, "boundary": {"allow": allow[1:]}})
        refused = place.run("graded")
        assert refused.returncode == 2
        assert f"the boundary does not allow {allow[0]}; if it may" in refused.stderr

        declare(place.path / "defs" / "graded", {**declared, "boundary": {"allow": allow}})
        inside = _run(place, "graded")
        files = reports_folder(place.home).glob("*.json")
        traffic = max((parse_report(one.read_text()) for one in files), key=_started).traffic
        assert {one.address for one in traffic} == {*allow}
        assert all(one.received > 100 for one in traffic)
        place.variables["FACTORY_DATABASE_URL"] = f"{server}/sealed_two"
        assert _run_outside(place, "graded") == inside
