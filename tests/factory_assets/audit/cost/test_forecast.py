"""What a training costs is told from smaller ones, and what was measured afterwards lies within."""

import copy
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from factory_assets.audit.cost.forecast import CostForecast, _work
from factory_assets.audit.cost.measured_stages import MeasuredPipeline, MeasuredStage
from factory_assets.audit.cost.report import CostFigures, CostReport
from factory_assets.cli.cost_text import cost_text
from factory_assets.cli.main import main
from factory_assets.cli.schema import output_schema_text
from factory_assets.execution.requests import StageRequest, stages_of
from factory_assets.execution.runner import run_stage
from factory_assets.results.stages import STAGES
from factory_assets.spec import Pipeline
from factory_resources.errors import DataError
from factory_resources.home.home import PROJECT, Home
from factory_resources.instance import prepare
from factory_resources.metering.meter import WATTS_PER_CORE, Cost, Meter
from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import PredictionRecord, WireProtocol, encode
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from tests.pipelines import APPLES, declare

pytestmark = pytest.mark.slow

NOW = datetime(2026, 6, 1, tzinfo=UTC)

SIZES, ASKED = (500, 2_000, 8_000), 32_000

_READ = Meter.read

_SCHEMA = PROJECT / "docs" / "cost.schema.json"

MACHINES = """\
rented:
  cores: 32
  speed: 2
  idle_watts: 100
  load_watts: 420
  grams_per_kwh: 50
  price_per_hour: 1.2
  source: price list of June
"""


@dataclass(frozen=True)
class Trained:
    """A pipeline that was trained with several numbers of rows."""

    folder: Path
    pipeline: Pipeline
    home: Home
    before: CostReport
    """What was told of the largest before it ran."""
    largest: list[Record]
    """What the stages of the largest cost."""


def write_rows(folder: Path, rows: int) -> None:
    """Write apples whose size mostly decides their label."""
    chance = random.Random(rows)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "data.csv").open("w") as file:
        file.write("size,colour,label\n")
        for _ in range(rows):
            size = chance.uniform(0.1, 10)
            label = "good" if size + chance.gauss(0, 1) > 5 else "bad"
            file.write(f"{size:.4f},{chance.choice(['red', 'green'])},{label}\n")


def run(pipeline: Pipeline, home: Home, run_id: str) -> list[Record]:
    """Run all stages in this process."""
    every = (StageRequest(pipeline, stage, home, run_id) for stage in stages_of(pipeline))
    return [run_stage(one).record for one in every]


def costing(rows: int) -> Callable[[Meter], Cost]:
    """Return how a meter reads where a stage costs what so many rows do, a tenth more or less.

    What stages as short as these take here says more of the other work on the machine.
    """
    cpu = (0.1 + 2e-5 * rows) * random.Random(rows).uniform(0.9, 1.1)
    wh = cpu * WATTS_PER_CORE / 3600
    return lambda meter: replace(_READ(meter), seconds=cpu, cpu_seconds=cpu, wh=wh)


def report(pipeline: Pipeline, home: Home, rows: int | None = None) -> CostReport:
    return CostForecast(pipeline, home, rows, {}, NOW).report()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACTORY_HOME", str(folder / "home"))
        patch.setenv("FACTORY_DEFS", str(folder / "defs"))
        home = Home(folder / "home")
        prepare(home)
        attributes = copy.deepcopy(APPLES)
        attributes["schedule"] = {"cron": "0 2 * * mon-fri"}
        attributes["evaluate"] = {"gates": [{"champion": "off"}]}
        # What is imported once in this process counts for nothing that is compared.
        write_rows(folder / "defs" / "warm", 300)
        run(declare(folder / "defs" / "warm", attributes), home, "warm")
        pipeline = declare(folder / "defs" / "apples", attributes)
        for rows in SIZES:
            write_rows(pipeline.folder, rows)
            patch.setattr(Meter, "read", costing(rows))
            run(pipeline, home, f"with {rows}")
        before = report(pipeline, home, ASKED)
        write_rows(pipeline.folder, ASKED)
        patch.setattr(Meter, "read", costing(ASKED))
        yield Trained(folder, pipeline, home, before, run(pipeline, home, "asked"))


def test_what_was_measured_is_of_the_size_that_was_told(trained: Trained) -> None:
    told = trained.before.machines[0].training
    assert told.cpu_seconds
    assert told.kwh
    cpu = sum(record.cpu_seconds or 0.0 for record in trained.largest)
    wh = sum(record.wh for record in trained.largest)
    assert told.cpu_seconds.low <= cpu <= told.cpu_seconds.high, (told.cpu_seconds, cpu)
    assert told.kwh.low <= wh / 1000 <= told.kwh.high
    assert told.cpu_seconds.high < 20 * told.cpu_seconds.low, "the range says something"
    for stage in trained.before.stages:
        assert (stage.basis, stage.runs, stage.sizes) == ("beyond", 3, (500, 8_000))
    assert any("32,000 rows are beyond" in note for note in trained.before.notes)


def test_the_first_run_in_a_home_is_left_out_if_there_are_others(home: Home) -> None:
    """It makes the databases first, so that its stages find loaded what others load."""
    root = home.path.parent
    write_rows(root / "first", 300)
    pipeline = declare(root / "first", {"purpose": "Apples.", "ingest": APPLES["ingest"]})
    run(pipeline, home, "first")
    measured = MeasuredPipeline(pipeline, home)
    assert [len(every) for every in measured.of_stage("ingest")] == [1, 0]
    write_rows(root / "first", 400)
    run(pipeline, home, "second")
    every, left_out = MeasuredPipeline(pipeline, home).of_stage("ingest")
    assert [one.rows for one in every] == [400]
    assert left_out == {"the first run in this home had loaded the libraries before": 1}


def test_a_measured_number_of_rows_is_told_as_it_was(trained: Trained) -> None:
    found = report(trained.pipeline, trained.home)
    assert found.rows == ASKED
    assert [stage.basis for stage in found.stages] == ["measured"] * len(STAGES)
    for stage, record in zip(found.stages, trained.largest, strict=True):
        assert stage.costs.seconds
        assert stage.costs.seconds.value == pytest.approx(record.seconds)
        assert stage.costs.megabytes
        assert stage.costs.megabytes.value == pytest.approx(record.megabytes)
    whole = found.machines[0].training
    assert whole.seconds
    assert whole.seconds.value == pytest.approx(sum(one.seconds for one in trained.largest))
    assert whole.co2e_g
    assert whole.co2e_g.value == pytest.approx(sum(one.wh for one in trained.largest) * 0.481)
    assert whole.money is None
    # 261 working nights from Monday, 1 June.
    assert (found.nights, found.nights_by) == (261, "the schedule 0 2 * * mon-fri (UTC)")
    assert found.machines[0].year.kwh
    assert whole.kwh
    assert found.machines[0].year.kwh.value == pytest.approx(261 * whole.kwh.value)
    assert found.avoided is None


def test_energy_that_is_of_the_cpu_time_follows_it_also_where_cores_limit_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("factory_assets.audit.cost.forecast.usable_cores", lambda: 1)
    measured = [
        MeasuredStage(rows, 10.0, cpu, cpu * 8 / 3600, 100.0, ("estimate: CPU time x 8 W",), "")
        for rows, cpu in ((500, 0.5), (8_000, 8.0))
    ]
    work = _work(measured, 1_000_000)
    assert work.cpu_seconds.value < 1_000, "the time that was measured does not grow as fast"
    assert work.kwh == work.cpu_seconds.times(8 / 3_600_000)


def test_a_declaration_of_another_model_leaves_its_stage_out(trained: Trained) -> None:
    attributes = copy.deepcopy(APPLES)
    attributes["train"]["model"] = {"kind": "random_forest"}
    attributes["split"] = {"seed": 3}
    attributes["evaluate"] = {"gates": [{"champion": "off"}]}
    other = declare(trained.folder / "other" / "apples", attributes)
    found = {stage.stage: stage for stage in report(other, trained.home).stages}
    assert found["train"].runs == 0
    assert found["train"].costs == CostFigures()
    assert found["split"].runs == 4, "another seed costs the same"
    notes = report(other, trained.home).notes
    assert "not measured, and not in the sums: train" in notes
    assert "left out: 4 results of train: its declaration was another one" in notes


def test_a_table_of_which_a_part_was_reused_is_left_out(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory_assets.data.block_plan.BLOCK_BYTES", 100)
    folder = tmp_path / "apples"
    data = {key: value for key, value in APPLES.items() if key not in ("train", "evaluate")}
    ingest = {**APPLES["ingest"], "source": {"files": "*.csv"}}
    pipeline = declare(folder, {**data, "ingest": ingest, "clean": {}})
    for name in "ab":
        write_rows(tmp_path / "made", 100)
        (tmp_path / "made" / "data.csv").rename(folder / f"{name}.csv")
        run(pipeline, home, name)
        # Records tell their time to the second.
        time.sleep(1.1)
    found = report(pipeline, home)
    assert found.rows == 200
    for stage in found.stages:
        assert (stage.runs, stage.sizes, stage.basis) == (1, (100, 100), "one size")
        assert stage.costs.megabytes is None
    assert "left out: 1 result of ingest: a part of it was reused" in found.notes
    assert found.nights_by == "no schedule is declared: one run a day"


def test_partitions_are_counted_together(tmp_path: Path, home: Home) -> None:
    folder = tmp_path / "apples"
    spec = {**APPLES, "partitions": {"day": {"every": "day", "start": "2026-01-01"}}}
    spec["ingest"] = {**APPLES["ingest"], "source": {"files": "{day}.csv"}}
    trained = declare(folder, spec)
    del spec["train"], spec["evaluate"]
    pipeline = declare(folder, spec)
    from factory_assets.spec import partition_of

    def compute(day: str, rows: int) -> float:
        write_rows(tmp_path / "made", rows)
        (tmp_path / "made" / "data.csv").rename(folder / f"{day}.csv")
        partition = partition_of(pipeline.spec.partitions, day)
        every = (
            StageRequest(pipeline, stage, home, day, partition) for stage in stages_of(pipeline)
        )
        return sum(run_stage(one).record.wh for one in every)

    wh = compute("2026-01-01", 100) + compute("2026-01-02", 300)
    found = report(pipeline, home)
    assert found.rows == 400
    assert [stage.sizes for stage in found.stages] == [(400, 400)] * 2
    assert found.machines[0].training.kwh
    assert found.machines[0].training.kwh.value == pytest.approx(wh / 1000)
    assert any(note.startswith("partitions: one after the other") for note in found.notes)
    # What was trained on no day that came later counts with the days that it was trained on.
    run_stage(StageRequest(trained, "split", home, "split"))
    compute("2026-01-03", 500)
    sizes = {stage.stage: stage.sizes for stage in report(trained, home).stages if stage.runs}
    assert sizes == {"ingest": (400, 400), "clean": (400, 400), "split": (400, 400)}


def test_a_million_answers_are_told_by_the_logged_times(trained: Trained) -> None:
    assert any(note.startswith("a million answers: not") for note in trained.before.notes)
    now = datetime.now(UTC)
    log, ids = PredictionLog(trained.home), PredictionIds()
    journal = log.journal()

    def answer(protocol: WireProtocol, at: datetime, duration: int, rows: int) -> None:
        record = PredictionRecord(
            int(at.timestamp() * 1e6),
            duration,
            "apples",
            1,
            "",
            protocol,
            "answer",
            200,
            rows,
            b"{}",
            b"{}",
        )
        journal.append(ids.take(rows), encode(record))

    for i in range(100):
        answer("plain", now + timedelta(seconds=i), 900 + 200 * (i % 2), 1)
    # Two parts of one file, which took two seconds as a whole.
    for _ in range(2):
        answer("file", now, 2_000_000, 5_000)
    answer("edge", now, 9_000_000, 1)
    journal.flush()
    journal.close()
    with log:
        log.collect()
    later = now + timedelta(hours=1)
    found = CostForecast(trained.pipeline, trained.home, None, {}, later).report()
    requests, files = found.machines[0].answers
    assert (requests.by, requests.requests, requests.rows) == ("requests", 100, 100)
    assert requests.costs.seconds
    assert requests.costs.seconds.value == pytest.approx(1_000)
    assert requests.costs.seconds.low < 1_000 / 1.09
    assert (files.by, files.requests, files.rows) == ("files", 1, 10_000)
    assert files.costs.seconds
    assert files.costs.seconds.value == pytest.approx(200)
    assert requests.costs.kwh
    assert requests.costs.kwh.value == pytest.approx(1_000 * 8 / 3_600_000)
    assert any("at most that of a busy core (8 W here)" in note for note in found.notes)
    [note] = [note for note in found.notes if "as small as the logged ones" in note]
    assert "the figures of a few are too high" in note
    assert "A million answers by files, from 1 file of 10,000 rows" in cost_text(found)


def _factory(trained: Trained, *arguments: str) -> tuple[int, str]:
    environment = {
        "FACTORY_HOME": str(trained.home.path),
        "FACTORY_DEFS": str(trained.folder / "defs"),
    }
    found = CliRunner().invoke(main, ["cost", *arguments], env=environment)
    return found.exit_code, found.output


def test_the_command_prints_tables_and_json(trained: Trained) -> None:
    machines = trained.folder / "machines.yaml"
    machines.write_text(MACHINES)
    code, text = _factory(trained, "apples", "--rows", "10M", "--on", str(machines))
    assert code == 0, text
    assert "apples with 10,000,000 rows, a training on this machine" in text
    assert "4 runs on 500 to 32,000 rows" in text
    assert "A year of nights: 26" in text
    assert " runs; the schedule " in text
    assert "rented: price list of June" in text
    assert max(map(len, text.splitlines())) <= 105
    code, text = _factory(trained, "apples", "--on", str(machines), "--json")
    assert code == 0, text
    content = json.loads(text)
    jsonschema.Draft202012Validator(json.loads(_SCHEMA.read_text())).validate(content)
    here, rented = content["machines"]
    assert (rented["name"], rented["currency"]) == ("rented", "EUR")
    seconds = rented["training"]["seconds"]["value"]
    assert seconds == pytest.approx(here["training"]["seconds"]["value"] / 2)
    assert rented["training"]["money"]["value"] == pytest.approx(seconds / 3600 * 1.2)


def test_the_published_schema_is_current() -> None:
    assert _SCHEMA.read_text() == output_schema_text(CostReport), (
        "run: factory schema cost > docs/cost.schema.json"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["apples", "--rows", "many"],
            "'many' is not a number of rows; write a number such as 5000",
        ),
        (["apples", "--rows", "0"], "'0' is not a number of rows"),
        (["aples"], "did you mean 'apples'?"),
        (["apples", "--on", "none.yaml"], "none.yaml: cannot be read"),
        (["new"], "new: no run of this pipeline was measured yet; run it first: factory run new"),
    ],
)
def test_a_mistake_is_one_line(trained: Trained, arguments: list[str], message: str) -> None:
    declare(trained.folder / "defs" / "new", APPLES)
    code, text = _factory(trained, *arguments)
    assert (code, text.count("\n")) == (2, 1), text
    assert message in text


def test_nothing_in_the_home_is_changed(trained: Trained) -> None:
    def stamps() -> dict[Path, Any]:
        every = (path for path in trained.home.path.rglob("*") if path.is_file())
        return {path: path.stat().st_mtime_ns for path in every if path.suffix not in {".db-shm"}}

    before = stamps()
    assert _factory(trained, "apples", "--rows", "1M")[0] == 0
    assert stamps() == before


def test_a_home_in_which_nothing_ran_is_not_made(tmp_path: Path) -> None:
    pipeline = declare(tmp_path / "apples", APPLES)
    with pytest.raises(DataError, match="no run of this pipeline was measured yet"):
        report(pipeline, Home(tmp_path / "home"))
    assert not (tmp_path / "home").exists()
    assert list(Records(Home(tmp_path / "home")).all()) == []
