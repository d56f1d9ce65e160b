"""Each bad file ends in rows just as it has them, in quarantine, or in one clear line."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bad_data import CASES
from tests.bad_data.case import Case, Refused, Rows
from tests.bad_data.worker import Seen, Worker

_MEGABYTES = 2048
"""What the process may ever have held in memory: a bomb would take more."""


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.stop()


def test_there_are_enough_cases_and_each_has_its_name() -> None:
    names = [case.name for case in CASES]
    assert len(names) >= 200
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_data(case: Case, worker: Worker, tmp_path: Path) -> None:
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
    """Every path but the home's, with its mode and size; a link is not followed."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if not name.startswith("p/home"):
            status = os.lstat(path)
            found[name] = (status.st_mode, status.st_size)
    return found


def _require_refused(seen: Seen, expected: Refused, folder: Path) -> None:
    assert seen.said is not None, f"it was read: {seen.rows[:5]}"
    for words in expected.said:
        assert words in seen.said
    assert seen.said.startswith("p/ingest: ") or seen.said.startswith(str(folder))
    assert all(character.isprintable() for character in seen.said)
    assert "Traceback" not in seen.said
    assert len(seen.said) < 2000
    home = folder / "home"
    kept = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    # Locks, and digests once taken, which are remembered.
    no_result = ("tmp/locks/", "tmp/.working", "digests.")
    assert {name for name in kept if not name.startswith(no_result)} == set()


def _require_rows(seen: Seen, expected: Rows) -> None:
    assert seen.said is None, seen.said
    assert seen.columns == (*expected.good, "_file", "_row")
    assert _columns(seen.rows, expected.good) == _shown(expected.good)
    assert dict(seen.quarantined) == dict(expected.quarantined)
    assert _columns(seen.broken, expected.broken) == _shown(expected.broken)
    # Conservation and identity: every record of every file is there once, kept or apart.
    places = sorted((row["_file"], row["_row"]) for row in (*seen.rows, *seen.broken))
    assert places == sorted((s, r) for s, count in seen.sources for r in range(1, count + 1))
    assert len(places) == seen.rows_read


def _columns(rows: tuple[dict[str, Any], ...], names: Any) -> dict[str, list[str]]:
    return {name: [repr(row[name]) for row in rows] for name in names}


def _shown(columns: Any) -> dict[str, list[str]]:
    # As text: 1 is not 1.0 nor True, and -0.0 is not 0.0.
    return {name: [repr(value) for value in values] for name, values in columns.items()}
