"""Ingest a large CSV file: compare the factory with plain DuckDB's `read_csv` into Parquet.

    python -m benchmarks.csv_ingest [ROWS ...]
    python -m benchmarks.csv_ingest SIDE FOLDER     (one side, in a process of its own)

Both know the columns' types. The factory also computes the file's digest, validates every cell
against the contract, gives each row its identity, and commits.
"""

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Result, measure, quickest, run_sides
from benchmarks.readings import COLUMNS, pipeline, rows_sql

ROWS = 20_000_000
CPU_RATIO = 1.5
_SQL = {"int64": "BIGINT", "float64": "DOUBLE", "string": "VARCHAR", "timestamp": "TIMESTAMP"}


def run(rows: int = ROWS) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        measure([*_COMMAND, "prepare", name], {"BENCHMARK_ROWS": str(rows)})
        sides = quickest({side: [*_COMMAND, side, name] for side in ("bare", "factory")})
    bare, factory = sides["bare"], sides["factory"]
    if bare.output.splitlines()[-1] != factory.output.splitlines()[-1]:
        raise RuntimeError(f"the sides keep different rows: {sides}")
    ratio = factory.cpu / bare.cpu
    return [
        Result(
            f"CSV of {rows:,} rows ingested",
            f"CPU {ratio:.2f}x ({factory.cpu:.1f} / {bare.cpu:.1f} s), wall {factory.wall:.1f} / "
            f"{bare.wall:.1f} s, peak {factory.megabytes:,.0f} / {bare.megabytes:,.0f} MB",
            f"CPU <= {CPU_RATIO}x",
            ratio <= CPU_RATIO,
        )
    ]


_COMMAND = [sys.executable, "-m", "benchmarks.csv_ingest"]


def prepare(folder: Path) -> None:
    import duckdb

    query = f"SELECT * EXCLUDE (i) FROM ({rows_sql(int(os.environ['BENCHMARK_ROWS']))})"
    duckdb.execute(f"COPY ({query}) TO '{folder / 'readings.csv'}' (FORMAT csv)")


def factory(folder: Path) -> int:
    from factory_assets.stages.ingest import ingest
    from factory_resources.home.home import Home

    declared = pipeline(str(folder / "readings.csv"))
    return ingest(declared, Home(folder / "home")).snapshot.rows


def bare(folder: Path) -> int:
    import duckdb

    from factory_resources.sql.engine import MEMORY

    connection = duckdb.connect(
        config={"memory_limit": MEMORY, "temp_directory": str(folder / "spilled")}
    )
    types = ", ".join(f"'{name}': '{_SQL[kind]}'" for name, kind in COLUMNS.items())
    source = f"read_csv('{folder / 'readings.csv'}', columns={{{types}}})"
    target = folder / "bare.parquet"
    copied = connection.execute(
        f"COPY (FROM {source}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
    ).fetchone()
    return int(copied[0]) if copied else 0


if __name__ == "__main__":
    run_sides((prepare, factory, bare), run, ROWS)
