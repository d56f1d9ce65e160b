"""Clean many rows: compare the factory with one plain DuckDB script, and with pandas.

    python -m benchmarks.cleaning [ROWS ...]
    python -m benchmarks.cleaning SIDE FOLDER     (one side, in a process of its own)

All sides read the same Parquet file and write one. The factory also preserves the source's order
and each row's identity, writes the quarantine, computes digests, and commits.
"""

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Result, Usage, measure, quickest, run_sides
from benchmarks.readings import COLUMNS, DERIVED, KEY, RULES, pipeline, rows_sql

ROWS = 20_000_000
PANDAS_ROWS = 20_000_000
"""Above this, pandas would need more memory than the machine may have."""
WALL_RATIO, PANDAS_RATIO, MEGABYTES = 1.3, 3.0, 2048.0


def run(rows: int = ROWS) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        measure([*_COMMAND, "prepare", name], {"BENCHMARK_ROWS": str(rows)})
        commands = {side: [*_COMMAND, side, name] for side in ("bare", "factory")}
        sides = quickest(commands, rounds=2 if rows <= ROWS else 1)
        if rows <= PANDAS_ROWS:
            sides["pandas"] = measure([*_COMMAND, "pandas", name], {})
    if len({used.output.splitlines()[-1] for used in sides.values()}) != 1:
        raise RuntimeError(f"the sides keep different rows: {sides}")
    return [_against_bare(rows, **sides)]


def _against_bare(rows: int, bare: Usage, factory: Usage, pandas: Usage | None = None) -> Result:
    ratio = factory.wall / bare.wall
    measured = (
        f"wall {ratio:.2f}x ({factory.wall:.1f} / {bare.wall:.1f} s), CPU "
        f"{factory.cpu / bare.cpu:.2f}x ({factory.cpu:.1f} / {bare.cpu:.1f} s), peak "
        f"{factory.megabytes:,.0f} / {bare.megabytes:,.0f} MB"
    )
    target = f"wall <= {WALL_RATIO}x, peak <= {MEGABYTES:,.0f} MB"
    met = ratio <= WALL_RATIO and factory.megabytes <= MEGABYTES
    if pandas:
        faster = pandas.wall / factory.wall
        measured += f"; pandas {faster:.1f}x ({pandas.wall:.1f} s, {pandas.megabytes:,.0f} MB)"
        target += f", pandas >= {PANDAS_RATIO:g}x"
        met &= faster >= PANDAS_RATIO
    return Result(f"cleaning {rows:,} rows", measured, target, met)


_COMMAND = [sys.executable, "-m", "benchmarks.cleaning"]


def prepare(folder: Path) -> None:
    """Store the rows as the stage `ingest` stores them."""
    from factory_assets.results.data import IngestResult
    from factory_resources.home.home import Home
    from factory_resources.sql.engine import sealed
    from factory_resources.tables.writer import write

    home = Home(folder / "home")
    rows = int(os.environ["BENCHMARK_ROWS"])
    identity = f"'{'0' * 64}' AS _file, i + 1 AS _row"
    query = f"SELECT * EXCLUDE (i), {identity} FROM ({rows_sql(rows)})"
    with home.scratch() as scratch, sealed(read=[], write=scratch) as connection:
        snapshot = write(connection, query, home=home, table="benchmark/ingest", folder=scratch)
    ingested = IngestResult(
        snapshot=snapshot,
        quarantine=None,
        sources=(),
        rows_read=rows,
        quarantined={},
        ignored_columns=(),
    )
    (folder / "ingested.json").write_text(ingested.model_dump_json())
    (folder / "source.parquet").symlink_to(snapshot.paths(home)[0])


def factory(folder: Path) -> int:
    from factory_assets.results.data import IngestResult
    from factory_assets.stages.clean import clean
    from factory_resources.home.home import Home

    ingested = IngestResult.model_validate_json((folder / "ingested.json").read_bytes())
    return clean(pipeline("readings.csv"), ingested, Home(folder / "home")).snapshot.rows


def bare(folder: Path) -> int:
    """Clean with the SQL that a data engineer would write; of equal keys the first row remains."""
    import duckdb

    from factory_resources.sql.engine import MEMORY

    connection = duckdb.connect(
        config={"memory_limit": MEMORY, "temp_directory": str(folder / "spilled")}
    )
    derived = ", ".join(f"{sql} AS {name}" for name, sql in DERIVED.items())
    copied = connection.execute(
        f"""COPY (
            SELECT *, {derived} FROM (
                SELECT {", ".join(COLUMNS)} FROM '{folder / "source.parquet"}'
                WHERE {" AND ".join(f"({rule})" for rule in RULES.values())}
                QUALIFY row_number() OVER (PARTITION BY {KEY} ORDER BY file_row_number) = 1
            )
        ) TO '{folder / "bare.parquet"}' (FORMAT parquet, COMPRESSION zstd)"""
    ).fetchone()
    return int(copied[0]) if copied else 0


def pandas(folder: Path) -> int:
    """Do the same in memory."""
    import numpy as np
    import pandas as pd

    frame = pd.read_parquet(folder / "source.parquet", columns=list(COLUMNS))
    frame = frame[
        (frame.temperature > -100)
        & (frame.torque >= 0.05)
        & frame.speed.between(1000, 2997)
        & ((frame.wear < 252) | (frame.grade != "H"))
    ]
    frame = frame.drop_duplicates(KEY)
    hour = frame.taken.dt.hour
    frame = frame.assign(
        power=frame.torque * frame.speed * 2 * np.pi / 60,
        fahrenheit=frame.temperature * 1.8 + 32,
        night=(hour < 6) | (hour >= 22),
    )
    frame.to_parquet(folder / "pandas.parquet", compression="zstd", index=False)
    return len(frame)


if __name__ == "__main__":
    run_sides((prepare, factory, bare, pandas), run, ROWS)
