"""Count what a person must correct in the declarations that `factory new` writes.

python -m benchmarks.drafts [NAME ...] [--packages DIR] [--seen | --unseen]

Each table is drafted, checked and run until its gates are judged. A correction is: a draft that is
refused, a problem that `factory check` finds, a run that ends with an error, a gate that fails,
another task or another split than the right one, and each column that is wrongly an input or
wrongly none. DIR holds packages that pip has unpacked (`pip install --no-deps --target DIR`).
Exits with 1 if a table needs more than three.
"""

import re
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks.draft_tables import TABLES, CarriedTable
from factory_assets.cli.check.check import check_folder
from factory_assets.cli.new.new import new
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.ml.features.columns import input_columns
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.stages import STAGES
from factory_assets.spec import Pipeline
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.security.offline import go_offline

MOST_CORRECTIONS = 3


@dataclass(frozen=True)
class Drafted:
    """One table, with what must be corrected in its draft."""

    table: CarriedTable
    corrections: tuple[str, ...]
    seconds: float


def corrections(table: CarriedTable, folder: Path, packages: Path | None) -> Iterator[str]:
    """Yield each correction that the draft needs, in a few words."""
    file = table.write(folder, packages)
    try:
        written = new("drafted", source=file, target=table.target, folder=folder / "defs").path
    except FactoryError as error:
        yield f"refused: {error}"
        return
    yield from (f"check: {problem}" for problem in check_folder(written.parent))
    pipeline = load_pipeline(written.parent)
    yield from differences(table, pipeline)
    yield from _run(pipeline, Home(folder / "home"))


def differences(table: CarriedTable, pipeline: Pipeline) -> Iterator[str]:
    """Yield what the draft decides otherwise than is right for the table."""
    spec = pipeline.spec
    sources = {column.name: column.source_name for column in spec.ingest.contract.columns}
    inputs = {
        origin
        for name in input_columns(pipeline, (*sources, *spec.clean.columns))
        for origin in _origins(pipeline, name, sources)
    }
    if spec.training.task != table.task:
        yield f"task {spec.training.task}"
    split = spec.split
    way = f"group:{split.group}" if split.group else f"time:{split.time}" if split.time else "rows"
    kind, _, column = way.partition(":")
    ways = (
        [f"{kind}:{origin}" for origin in _origins(pipeline, column, sources)] if column else [way]
    )
    if not set(ways) & set(table.splits):
        yield f"split {way}"
    yield from (f"{name} is an input" for name in table.never if name in inputs)
    yield from (f"{name} is no input" for name in table.inputs if name not in inputs)


def _origins(pipeline: Pipeline, name: str, sources: dict[str, str]) -> set[str]:
    """Return the columns of the file that a column is, or is computed from."""
    clean = pipeline.spec.clean
    columns = {column.name: column for column in pipeline.spec.ingest.contract.columns}
    if name in columns:
        is_time = columns[name].type in {"date", "timestamp"}
        return {sources[name]} if not is_time or name == pipeline.spec.split.time else set()
    sql = clean.derive.get(name)
    if sql is None:
        of = [c for c in (clean.windows.columns if clean.windows else ()) if name.startswith(c)]
        return {sources.get(column, column) for column in of}
    return {s for c, s in sources.items() if re.search(rf"(?<!\w){re.escape(c)}(?!\w)", sql)}


def _run(pipeline: Pipeline, home: Home) -> Iterator[str]:
    prepare(home)
    result = None
    try:
        for stage in STAGES[: STAGES.index("evaluate") + 1]:
            result = run_stage(StageRequest(pipeline, stage, home, run_id="drafts")).value
    except FactoryError as error:
        yield f"run: {error}"
        return
    assert isinstance(result, EvaluationResult)
    yield from (f"gate {gate.name}: {gate.explanation}" for gate in result.gates if not gate.passed)


def drafted(tables: Sequence[CarriedTable], packages: Path | None) -> Iterator[Drafted]:
    """Draft and run each table in a folder of its own; yield what must be corrected."""
    for table in tables:
        began = time.perf_counter()
        with TemporaryDirectory() as folder:
            try:
                found = tuple(corrections(table, Path(folder), packages))
            except FileNotFoundError as error:
                Console().print(f"{table.name} is left out: {error}")
                continue
        yield Drafted(table, found, time.perf_counter() - began)


def main() -> int:
    """Print the table of corrections; return the exit code."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--seen", action="store_true")
    parser.add_argument("--unseen", action="store_true")
    asked = parser.parse_args()
    chosen = [
        table
        for table in TABLES
        if (not asked.names or table.name in asked.names)
        and not (asked.seen and not table.seen)
        and not (asked.unseen and table.seen)
    ]
    go_offline()
    shown = Table("table", "package", "target", "corrections", "what", "s")
    most = 0
    for one in drafted(chosen, asked.packages):
        most = max(most, len(one.corrections))
        print(f"{one.table.name}: {'; '.join(one.corrections) or 'none'}", file=sys.stderr)
        shown.add_row(
            f"{one.table.name}{' (seen)' if one.table.seen else ''}",
            one.table.package,
            one.table.target,
            str(len(one.corrections)),
            "; ".join(one.corrections),
            f"{one.seconds:.0f}",
        )
    Console(width=200).print(shown)
    return int(most > MOST_CORRECTIONS)


if __name__ == "__main__":
    sys.exit(main())
