"""Each bad file gives its rows unchanged, rows in quarantine, or one clear error message."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bad_data import CASES
from tests.bad_data.case import Case, Refused, Rows
from tests.bad_data.worker import Seen, Worker
from tests.long_run import one_in

_MEGABYTES = 2048
"""Largest peak memory of the process: a bomb would take more."""


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.stop()


def test_the_corpus_has_200_cases_with_unique_names() -> None:
    names = [case.name for case in CASES]
    assert len(names) >= 200
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", one_in(3, CASES), ids=lambda case: case.name)
def test_a_bad_file_is_read_or_refused_as_expected(
    case: Case, worker: Worker, tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    document = {"type": "factory_assets.ModelPipeline", "attributes": case.write(folder)}
    (folder / "defs.yaml").write_text(yaml.safe_dump(document, allow_unicode=True))
    before = _state(tmp_path)
    seen = worker.ingest(folder)
    assert seen.crash is None, seen.crash
    assert _state(tmp_path) == before, "something outside the home changed"
    assert seen.megabytes < _MEGABYTES
    if isinstance(case.expected, Refused):
        _require_refused(seen, case.expected, folder)
    else:
        _require_rows(seen, case.expected)


def _state(root: Path) -> dict[str, tuple[int, int]]:
    """Return mode and size of every path outside the home; links are not followed.

    A folder has size 0: how large it is depends on the file system, and the home lies in one.
    """
    state = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if not name.startswith("p/home"):
            status = os.lstat(path)
            size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
            state[name] = (status.st_mode, size)
    return state


def _require_refused(seen: Seen, expected: Refused, folder: Path) -> None:
    assert seen.said is not None, f"it was read: {seen.rows[:5]}"
    for words in expected.said:
        assert words in seen.said
    assert seen.said.startswith("p/ingest: ") or seen.said.startswith(str(folder))
    assert all(character.isprintable() for character in seen.said)
    assert "Traceback" not in seen.said
    assert len(seen.said) < 2000
    home = folder / "home"
    files = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    # Locks, cached digests, and how much of the disk was free are no result.
    no_result = ("tmp/locks/", "tmp/.working", "disk.json", "digests.")
    assert {name for name in files if not name.startswith(no_result)} == set()


def _require_rows(seen: Seen, expected: Rows) -> None:
    assert seen.said is None, seen.said
    assert seen.columns == (*expected.good, "_file", "_row")
    assert _columns(seen.rows, expected.good) == _shown(expected.good)
    assert dict(seen.quarantined) == dict(expected.quarantined)
    assert _columns(seen.broken, expected.broken) == _shown(expected.broken)
    # Every record of every file is once in the snapshot or once in quarantine.
    places = sorted((row["_file"], row["_row"]) for row in (*seen.rows, *seen.broken))
    assert places == sorted((s, r) for s, count in seen.sources for r in range(1, count + 1))
    assert len(places) == seen.rows_read


def _columns(rows: tuple[dict[str, Any], ...], names: Any) -> dict[str, list[str]]:
    return {name: [repr(row[name]) for row in rows] for name in names}


def _shown(columns: Any) -> dict[str, list[str]]:
    # As text: 1 is not 1.0 nor True, and -0.0 is not 0.0.
    return {name: [repr(value) for value in values] for name, values in columns.items()}
