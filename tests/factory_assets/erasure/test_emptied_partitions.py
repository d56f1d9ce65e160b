"""A partition whose key names a person goes with its key, and does not come back."""

import csv
import json
import os
import shutil
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from factory_assets.audit.trace.backward import describe_step
from factory_assets.audit.trace.verification import Checker
from factory_assets.audit.upstream import whole_upstream
from factory_assets.components.sensors import list_arrivals
from factory_assets.data.sources.partition_listing import list_partitions
from factory_assets.declarations.loader import load_pipeline
from factory_assets.erasure.read_sources import read_sources
from factory_assets.openlineage.delivery import events_folder
from factory_assets.results.base import digest
from factory_assets.results.record_graph import RecordGraph
from factory_resources.erasure.manifest import manifests
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.ledger.ledger import Ledger
from factory_resources.tables.logged_files import logged_files, past_versions
from factory_resources.tracking.records import Records
from tests.commands import in_process
from tests.killed_steps import KillPoint, run_killed
from tests.ledger import problems
from tests.long_run import in_long
from tests.pipelines import declare, enter

pytestmark = pytest.mark.slow

ANN, OTHERS = "Ann Quibbleton", ("Bob Warble", "Cid Xylander")

WHERE = f"patient = '{ANN}'"

_INGEST: dict[str, Any] = {
    "source": {"files": "pulses/{patient}.csv"},
    "contract": [{"name": "pulse", "type": "float64", "range": [0, 300]}],
    "max_quarantine": 0.5,
}

_PARTITIONS: dict[str, Any] = {
    "pulses": {"patient": {"dynamic": True}},
    "listed": {"patient": {"values": [ANN, *OTHERS]}},
}


def _declare(root: Path, name: str, partitions: dict[str, Any]) -> None:
    attributes = {"purpose": "Count beats", "partitions": partitions, "ingest": _INGEST}
    declare(root / "defs" / name, attributes)


def _write(root: Path, patient: str, pulses: list[float]) -> None:
    for name in _PARTITIONS:
        path = root / "defs" / name / "pulses" / f"{patient}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            csv.writer(file).writerows([["pulse"], *([pulse] for pulse in pulses)])
        # A file that has just changed has no digest that is remembered.
        os.utime(path, (1, 1))


def _erase() -> tuple[int, str]:
    return in_process("forget", "--where", WHERE, "--reason", "request 118", "--yes")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("patients") / "root"
    for name, partitions in _PARTITIONS.items():
        _declare(root, name, partitions)
    for number, patient in enumerate((ANN, *OTHERS)):
        _write(root, patient, [60.5 + number, 71.25 + number, 999.5])
    (root / "defs" / "factory.yaml").write_text("openlineage: {}\n")
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        assert in_process("run", "pulses", "listed")[0] == 0
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the factory, in which no declaration names Ann."""
    copy = shutil.copytree(made, tmp_path / "root")
    enter(copy, monkeypatch)
    _declare(copy, "listed", {"patient": {"values": [*OTHERS]}})
    return copy


def _naming(home: Path) -> list[str]:
    """Return the files that have the name, or are called by it."""
    found = []
    for path in sorted(home.rglob("*")):
        ways = (b"Ann Quibbleton", b"Ann%20Quibbleton", b"Ann+Quibbleton")
        content = path.read_bytes() if path.is_file() else b""
        if any(way in content or way.decode() in path.name for way in ways):
            found.append(str(path.relative_to(home)))
    return found


def test_nothing_names_the_partition_any_more(root: Path) -> None:
    home = Home(root / "home")
    before = _naming(home.path)
    for part in (
        "records/pulses/latest",
        "records/listed/runs",
        "tables/pulses/ingest/_delta_log",
        "openlineage/events.jsonl",
    ):
        assert any(name.startswith(part) for name in before), before
    lines = (events_folder(home) / "events.jsonl").read_bytes().count(b"\n")
    code, text = _erase()
    assert code == 0, text
    assert "1 partition of pulses with no other rows" in text
    assert _naming(home.path) == []
    assert problems(home) == []
    assert Records(home).partitions("pulses", "ingest") == [*OTHERS]
    [manifest] = manifests(home)
    assert manifest.pipelines["pulses"].partitions == 1
    assert len(manifest.emptied) == 1
    events = (events_folder(home) / "events.jsonl").read_text().splitlines()
    read = [json.loads(line) for line in events]
    assert len(read) == lines
    named = {one["name"] for event in read for one in event["inputs"]}
    assert {f"pulses/{OTHERS[0]}.csv", "pulses/(erased).csv"} <= named
    graph = RecordGraph.of(home)
    [gone] = [Path(path) for path in manifest.removed if "/pulses/ingest/" in f"/{path}"]
    # As that of a split, which rests on all partitions.
    record = graph.latest("pulses", "clean")[0].model_copy(
        update={"inputs": {"ingest": (gone.stem,)}}
    )
    with pytest.raises(ModelError, match="removed by an erasure") as error:
        whole_upstream([record], graph)
    assert "restore" not in str(error.value)
    checker = Checker(home, verify=False)
    describe_step(record, graph, checker)
    assert not [one for one in checker.problems if "missing" in one]


def test_the_tables_have_the_other_partitions_as_before(root: Path) -> None:
    home = Home(root / "home")
    folder = home.tables / "pulses" / "ingest"
    before = logged_files(folder)
    assert _erase()[0] == 0
    assert logged_files(folder) == {key: before[key] for key in OTHERS}
    assert past_versions(folder) == []
    _write(root, OTHERS[0], [50.5, 51.5])
    code, text = in_process("run", "pulses")
    assert code == 0, text
    table = DeltaTable(str(folder))
    assert sorted(row["pulse"] for row in table.to_pyarrow_table().to_pylist()) == [
        50.5, 51.5, 62.5, 73.25
    ]  # fmt: skip
    assert problems(home) == []


def test_dagster_knows_the_others_alone(root: Path) -> None:
    from dagster import DagsterInstance

    home = Home(root / "home")
    assert _erase()[0] == 0
    prepare(home)
    with DagsterInstance.get() as instance:
        assert {*instance.get_dynamic_partitions("pulses_patient")} == {*OTHERS}


def test_the_partition_comes_back_with_another_file_alone(root: Path) -> None:
    home = Home(root / "home")
    assert _erase()[0] == 0
    pulses = load_pipeline(root / "defs" / "pulses")
    listing = list_partitions(pulses, datetime.now(UTC), {}, home)
    assert (len(listing.partitions), listing.dynamic) == (2, {"patient": [*OTHERS]})
    assert {*list_arrivals(pulses, home).files} == {*OTHERS}
    code, text = in_process("run", "pulses", "listed")
    assert (code, "pulses · ingest    2 reused" in text) == (0, True), text
    assert _naming(home.path) == []
    _write(root, ANN, [55.5])
    assert in_process("run", "pulses")[0] == 0
    assert Records(home).partitions("pulses", "ingest") == [ANN, *OTHERS]
    assert problems(home) == []


def test_a_declaration_that_names_the_partition_is_changed_first(root: Path) -> None:
    _declare(root, "listed", _PARTITIONS["listed"])
    code, text = _erase()
    assert code == 2
    assert "defs.yaml: the declaration has a value of the person" in text
    assert [*manifests(Home(root / "home"))] == []
    assert in_process("forget", "--where", WHERE, "--preview")[0] == 0


def _killed() -> None:
    _erase()


@pytest.mark.parametrize(
    "step",
    [
        # The new log is not whole yet.
        KillPoint("factory_resources.tables.log_renewal", "_write_log", 3),
        *in_long(
            [
                KillPoint("factory_assets.erasure.steps", "remove_other_files"),
                KillPoint("factory_assets.erasure.emptied_partitions", "key_at", 3),
                KillPoint("factory_assets.erasure.emptied_partitions", "renew_log", 2),
            ]
        ),
    ],
    ids=lambda step: f"{step.name}-{step.call}",
)
def test_a_killed_erasure_is_finished(root: Path, step: KillPoint) -> None:
    home = Home(root / "home")
    run_killed(_killed, step=step)
    assert in_process("forget", "--resume")[0] == 0
    assert _naming(home.path) == []
    assert problems(home) == []
    for log in sorted(home.tables.glob("*/*/_delta_log")):
        assert {*logged_files(log.parent)} <= {*OTHERS}


def test_the_ledger_has_no_digest_that_tells_the_key(root: Path) -> None:
    with Ledger(Home(root / "home")).reading() as log:
        entries = b"".join(log.body(number) for number in range(log.size))
    for known in (digest(ANN), sha256(ANN.encode()).hexdigest()):
        assert known.encode() not in entries


def test_a_file_is_emptied_one_row_after_the_other_also_if_others_have_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    (tmp_path / "people.csv").write_text("nbr,pulse\n17,60.5\n18,70.5\n")
    columns = [{"name": name, "type": "string"} for name in ("nbr", "pulse")]
    for name in ("one", "two"):
        ingest = {"source": {"files": "../../people.csv"}, "contract": columns}
        declare(tmp_path / "defs" / name, {"purpose": "Count beats", "ingest": ingest})
    assert in_process("run", "one", "two")[0] == 0
    home = Home(tmp_path / "home")

    def forget(nbr: int) -> None:
        asked = ("forget", "one", "--where", f"nbr = '{nbr}'", "--reason", "a request", "--yes")
        assert in_process(*asked)[0] == 0

    forget(17)
    records = RecordGraph.of(home).records
    # Whoever has read it last.
    for order in (records, records[::-1]):
        [source] = read_sources(RecordGraph(home, order)).values()
        assert source.rows == 1
    forget(18)
    assert sorted(len(manifest.emptied) for manifest in manifests(home)) == [0, 1]
