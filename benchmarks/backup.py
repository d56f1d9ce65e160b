"""`factory backup` and `factory restore` of a home of 5 GB: CPU against `cp -a` of the same files.

    python -m benchmarks backup [--rows MEGABYTES]

The home is one with three stages, filled up: nine tenths are snapshots, the rest are models,
answers in the archive and answers in the database. `cp` proves nothing, and does not wait for the
disk.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from benchmarks.measure import FACTORY, Result, Usage, machine_failure, measure
from factory_resources.home.home import Home
from factory_resources.prediction_log.prediction_log import PredictionLog

MEGABYTES, ROUNDS, TARGET = 5_000, 2, 1.3

_FILE = 50
"""Megabytes of a file of a table."""


def run(megabytes: int = MEGABYTES) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = Home(folder / "home")
        variables = {"FACTORY_HOME": str(home.path), "FACTORY_DEFS": str(folder / "defs")}
        machine_failure(folder / "defs", "machines", 2_000)
        measure([FACTORY, "run", "machines", "--stages", "ingest,clean,split"], variables)
        _fill(home, megabytes)
        rounds = [_round(home, folder / f"round{number}", variables) for number in range(ROUNDS)]
    plain, saved, back, again, checked = (
        min(side, key=lambda used: used.cpu) for side in zip(*rounds, strict=True)
    )
    size = f"{megabytes / 1000:g} GB"
    return [
        _result(f"factory backup of {size}", saved, plain),
        _result(f"factory restore of {size}", again, back),
        Result(f"factory restore --check of {size}", _text(checked), "", met=True),
    ]


def _round(home: Home, folder: Path, variables: Mapping[str, str]) -> list[Usage]:
    """Measure `cp`, a backup, `cp` of it, restoring it, and comparing it."""
    copy, backup, restored = folder / "copy", folder / "backup", folder / "restored"
    folder.mkdir()
    found = [measure(["cp", "-a", str(home.path), str(copy)], {})]
    shutil.rmtree(copy)
    found.append(measure([FACTORY, "backup", str(backup)], variables))
    [made] = backup.iterdir()
    _forget(home.path)
    found.append(measure(["cp", "-a", str(made / "home"), str(copy)], {}))
    shutil.rmtree(copy)
    found.append(measure([FACTORY, "restore", str(backup), "--home", str(restored)], {}))
    found.append(measure([FACTORY, "restore", str(backup), "--check"], {}))
    shutil.rmtree(folder)
    return found


def _forget(folder: Path) -> None:
    """Let the system drop what it keeps of files in memory: else it does so while `cp` works."""
    os.sync()
    for path in folder.rglob("*.parquet"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _fill(home: Home, megabytes: int) -> None:
    for number, content in enumerate(_contents(megabytes * 9 // 10)):
        folder = home.tables / "machines" / f"filled{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{sha256(content).hexdigest()}.parquet").write_bytes(content)
    for name in ("artifacts/filled", "predictions/archive/filled"):
        folder = home.path / name
        folder.mkdir(parents=True)
        for number, content in enumerate(_contents(megabytes // 30)):
            (folder / f"{number}.parquet").write_bytes(content)
    with PredictionLog(home) as log:
        # It makes the database as it is in a factory.
        log.collect()
    with closing(sqlite3.connect(home.predictions_database)) as database:
        database.execute("CREATE TABLE filled (content BLOB)")
        for content in _contents(megabytes // 30):
            rows = ((content[at : at + 1000],) for at in range(0, len(content), 1000))
            database.executemany("INSERT INTO filled VALUES (?)", rows)
        database.commit()


def _contents(megabytes: int) -> Iterator[bytes]:
    for start in range(0, megabytes, _FILE):
        yield os.urandom(min(_FILE, megabytes - start) * 10**6)


def _text(used: Usage) -> str:
    return f"{used.cpu:.1f} s CPU, {used.wall:.1f} s"


def _result(name: str, used: Usage, plain: Usage) -> Result:
    ratio = used.cpu / plain.cpu
    measured = f"{ratio:.2f} times cp -a ({_text(used)}; cp {_text(plain)})"
    return Result(name, measured, f"<= {TARGET:g} times by CPU", ratio <= TARGET)
