"""A table changes its columns: new rows are right, and old snapshots read as they did.

Every state is ingested and cleaned, read back from its files and from the Delta log, run again,
traced; at the end, what nothing needs is removed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from factory_assets.audit.trace.trace import trace
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.retention import find_garbage
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import CleanResult
from factory_assets.results.latest import ResultQuery, latest_result
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline, partition_of
from factory_resources.errors import FactoryError
from factory_resources.home.garbage import remove
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot, read_arrow
from tests.growing.case import Case, Columns, State, every_change
from tests.growing.cases import CASES
from tests.pipelines import declare

STAGES: tuple[Stage, ...] = ("ingest", "clean")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all cases: a pipeline each, and one home."""
    return tmp_path_factory.mktemp("growing")


@dataclass
class Table:
    """The table of a case."""

    case: Case
    folder: Path
    home: Home

    def set(self, state: State) -> Pipeline:
        """Write the files and the declaration of a state."""
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.glob("*.csv"):
            path.unlink()
        for name, text in state.files.items():
            (self.folder / name).write_text(text)
        return declare(self.folder, self.case.declaration(state))

    def run(self, pipeline: Pipeline, run_id: str) -> list[str]:
        """Ingest and clean; return what was computed."""
        computed = []
        for site in self.case.sites or (None,):
            partition = partition_of(pipeline.spec.partitions, site) if site else None
            for stage in STAGES:
                done = run_stage(StageRequest(pipeline, stage, self.home, run_id, partition))
                computed += [] if done.reused else [f"{stage} {site or ''}".strip()]
        return computed

    def clean(self, pipeline: Pipeline) -> Snapshot:
        value = latest_result(ResultQuery(pipeline, "clean", self.home))
        assert isinstance(value, CleanResult)
        return value.snapshot

    @property
    def logs(self) -> list[Path]:
        return sorted(self.home.tables.glob(f"{self.case.name}/*"))

    def require_logged(self, expected: Columns) -> None:
        """Compare the clean table with what any Delta reader sees."""
        logged = DeltaTable(self.home.tables / self.case.name / "clean").to_pyarrow_table()
        names = [name for name in logged.column_names if not name.startswith("_")]
        # A log does not record that the same columns are in another order.
        assert sorted(names) == sorted(expected)
        assert _sorted(logged, names) == _sorted(pa.table(dict(expected)), names)

    def require_traced(self, name: str) -> None:
        folders = {self.case.name: self.folder}
        assert trace(name, self.home, folders=folders).problems == ()


def _sorted(table: pa.Table, names: Sequence[str]) -> list[str]:
    return sorted(repr([row[name] for name in names]) for row in table.to_pylist())


def _values(snapshot: Snapshot, home: Home) -> dict[str, list[str]]:
    table = read_arrow(snapshot, home).drop_columns(["_file", "_row"])
    return {name: [repr(value) for value in table[name].to_pylist()] for name in table.column_names}


def _shown(columns: Columns) -> dict[str, list[str]]:
    # As text: 1 is not 1.0 nor True.
    return {name: [repr(value) for value in values] for name, values in columns.items()}


def test_the_corpus_changes_every_type_to_every_other() -> None:
    kinds = ["a", "b", "c", "d"]
    walk = every_change(kinds)
    pairs = [*pairwise(walk)]
    assert sorted(pairs) == sorted((x, y) for x in kinds for y in kinds if x != y)
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_table_grows(case: Case, root: Path) -> None:
    table = Table(case, root / case.name, Home(root / "home"))
    past: list[tuple[Snapshot, dict[str, list[str]]]] = []
    last: Any = None
    for number, state in enumerate(case.states):
        pipeline = table.set(state)
        if isinstance(state.expected, str):
            with pytest.raises(FactoryError, match=state.expected) as caught:
                table.run(pipeline, f"{number}")
            assert "\n" not in str(caught.value)
            table.require_logged(last)
            continue
        last = state.expected
        table.run(pipeline, f"{number}")
        snapshot = table.clean(pipeline)
        past.append((snapshot, _shown(state.expected)))
        table.require_logged(state.expected)
        assert table.run(pipeline, f"{number} again") == []
        for earlier, values in past:
            assert _values(earlier, table.home) == values
        table.require_traced(f"{case.name}/clean")
    _require_readable_log(table)
    _require_collected(table, past, last)


def _require_readable_log(table: Table) -> None:
    """Every version in the logs can be read, not the newest alone."""
    for log in table.logs:
        for version in range(DeltaTable(log).version() + 1):
            DeltaTable(log, version=version).file_uris()


def _require_collected(
    table: Table, past: Sequence[tuple[Snapshot, dict[str, list[str]]]], last: Columns
) -> None:
    """What nothing needs is removed; the latest stays, and is reused."""
    late = time.time() + 31 * 86_400
    remove(find_garbage(table.home, {}, 30 * 86_400, late))
    final = next(s for s in reversed(table.case.states) if not isinstance(s.expected, str))
    pipeline = table.set(final)
    assert table.run(pipeline, "after") == []
    assert _values(table.clean(pipeline), table.home) == past[-1][1]
    table.require_logged(last)
    table.require_traced(f"{table.case.name}/clean")
    kept = {file.name for file in past[-1][0].files}
    stored = {path.name for path in (table.home.tables / table.case.name / "clean").glob("*.par*")}
    assert stored == kept
