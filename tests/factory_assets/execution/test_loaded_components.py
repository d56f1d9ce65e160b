"""Which components a key has before the user's code has run, and which it has afterwards."""

import sys
from pathlib import Path
from typing import Any

import pytest

from factory_assets.execution.loaded_code import loaded_code
from factory_assets.execution.loaded_components import (
    LOADED,
    actual_components,
    expected_components,
    foreseen,
)
from factory_assets.execution.requests import StageRequest
from factory_assets.results.base import digest
from factory_assets.spec import Partition, Pipeline
from factory_resources.home.home import Home
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.user_code import load_object
from tests.data_stages import pipeline

PARTS = {"user code": "mine", "source": "s"}

NOW = {"modules": {"beside": "", "gone": ""}, "libraries": {}}
"""How `BEFORE` is now: neither of the modules exists."""

BEFORE = {"modules": {"beside": "1", "gone": "2"}, "libraries": {}}


def _python(folder: Path) -> Pipeline:
    (folder / "made.py").write_text("import beside\ndef rows(): ...\n")
    return pipeline(folder, ingest={"source": {"python": "made:rows", "reads": []}})


def _stored(home: Home, parts: dict[str, Any], partition: str | None = None) -> Record:
    record = Record(
        **{"pipeline": "p", "stage": "ingest", "partition": partition, "key": digest(parts)},
        **{"parts": parts, "value": {}, "data_version": "v", "run_id": "run"},
        **{"seconds": 1, "megabytes": 1, "finished": "2026-01-01T00:00:00"},
    )
    Records(home).save(record)
    return record


def test_what_is_known_before_is_all_but_what_is_loaded() -> None:
    assert foreseen({**PARTS, LOADED: BEFORE}) == PARTS


def test_a_record_is_found_by_what_is_known_before(tmp_path: Path, home: Home) -> None:
    call = StageRequest(_python(tmp_path), "ingest", home, "run")
    assert expected_components(call, PARTS) == PARTS
    Records(home).foresee(_stored(home, {**PARTS, LOADED: BEFORE}), digest(PARTS))
    assert expected_components(call, PARTS) == {**PARTS, LOADED: NOW}
    other = {**PARTS, "source": "t"}
    assert expected_components(call, other) == other


def test_a_given_record_comes_first(tmp_path: Path, home: Home) -> None:
    call = StageRequest(_python(tmp_path), "ingest", home, "run")
    record = _stored(home, {"source": "t", LOADED: BEFORE})
    assert expected_components(call, PARTS, record) == {**PARTS, LOADED: NOW}
    without = _stored(home, {"source": "u"})
    assert expected_components(call, PARTS, without) == PARTS


def test_a_stage_without_code_of_the_user_has_no_such_component(tmp_path: Path, home: Home) -> None:
    call = StageRequest(pipeline(tmp_path), "ingest", home, "run")
    record = _stored(home, {**PARTS, LOADED: BEFORE})
    Records(home).foresee(record, digest(PARTS))
    assert expected_components(call, PARTS) == PARTS
    assert actual_components(call, PARTS, {}) == PARTS


@pytest.mark.parametrize("key", [None, "a"])
@pytest.mark.parametrize("code", ["mine", "other"])
def test_what_was_loaded_before_stays_if_the_code_is_the_same(
    tmp_path: Path, home: Home, code: str, key: str | None
) -> None:
    """A source whose stored rows are taken again is not called."""
    made = _python(tmp_path)
    (tmp_path / "beside.py").write_text("")
    load_object("made:rows", tmp_path)
    partition = Partition({"site": key}, {}, {}) if key else None
    call = StageRequest(made, "ingest", home, "run", partition)
    first = actual_components(call, {**PARTS, LOADED: BEFORE}, {})
    assert {**first, LOADED: None} == {**PARTS, LOADED: None}
    assert [*first[LOADED]["modules"]] == ["beside", "made"]
    assert all(map(len, first[LOADED]["modules"].values()))
    Records(home).point(_stored(home, {"user code": code, LOADED: BEFORE}, key), "run")
    again = actual_components(call, PARTS, {})[LOADED]
    old = {"gone": ""} if code == "mine" else {}
    assert again == {**first[LOADED], "modules": {**first[LOADED]["modules"], **old}}


def test_what_else_the_process_has_loaded_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made.py").write_text("import pandas\ndef rows(): ...\n")
    load_object("made:rows", tmp_path)
    found = loaded_code(["made:rows"], tmp_path)
    assert {"pandas", "numpy", "python-dateutil"} <= found["libraries"].keys()
    # pandas names it as an extra, and it is loaded by the tests alone.
    monkeypatch.delitem(sys.modules, "hypothesis")
    assert loaded_code(["made:rows"], tmp_path) == found
