"""Files are complete if neither they nor their names change; each is reported once."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.settling import UNFINISHED_SUFFIXES, State, settle_files

SETTLE = 30.0


def write(path: Path, text: str = "x\n1\n") -> Path:
    path.write_text(text)
    return path


def look(state: State, *paths: Path, later: float = 0.0) -> tuple[set[str], State]:
    """Look at files, each by itself, `later` seconds after the last of them changed."""
    changed = max((p.stat().st_ctime for p in paths if p.exists()), default=0.0)
    whole, after = settle_files({p.name: (p,) for p in paths}, state, changed + later, SETTLE)
    return set(whole), after


def test_an_unchanged_file_is_complete_at_the_second_look_and_reported_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    whole, state = look(State(), path, later=100)
    assert whole == set()
    whole, state = look(state, path, later=130)
    assert whole == {"a.csv"}
    for _ in range(2):
        whole, state = look(state, path, later=160)
        assert whole == set()


def test_a_recently_changed_file_waits(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    state = State()
    for later in (0, 10, 29):
        whole, state = look(state, path, later=later)
        assert whole == set()
    assert look(state, path, later=31)[0] == {"a.csv"}


def test_a_growing_file_waits_even_if_its_time_is_old(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    state = State()
    for rows in range(1, 5):
        write(path, "x\n" + "1\n" * rows)
        os.utime(path, (1_000_000, 1_000_000))
        whole, state = look(state, path, later=100)
        assert whole == set()
    assert look(state, path, later=130)[0] == {"a.csv"}


def test_a_copy_that_preserves_an_old_time_waits(tmp_path: Path) -> None:
    old = write(tmp_path / "old.csv")
    os.utime(old, (1_000_000, 1_000_000))
    new = tmp_path / "new.csv"
    shutil.copy2(old, new)
    _, state = look(State(), new, later=1)
    assert look(state, new, later=2)[0] == set()


def test_a_changed_file_is_reported_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    _, state = look(State(), path, later=100)
    _, state = look(state, path, later=100)
    before = path.stat()
    write(path, "x\n2\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    whole, state = look(state, path, later=100)
    assert whole == set()
    assert look(state, path, later=100)[0] == {"a.csv"}


@pytest.mark.parametrize("end", [*UNFINISHED_SUFFIXES, ".PART"])
def test_a_file_whose_name_marks_it_as_unfinished_waits(tmp_path: Path, end: str) -> None:
    path = write(tmp_path / f"a.csv{end}")
    _, state = look(State(), path, later=100)
    assert look(state, path, later=200)[0] == set()
    path.rename(tmp_path / "a.csv")
    _, state = look(state, tmp_path / "a.csv", later=100)
    assert look(state, tmp_path / "a.csv", later=100)[0] == {"a.csv"}


def test_what_needs_several_files_waits_for_all(tmp_path: Path) -> None:
    good, half = write(tmp_path / "a.csv"), write(tmp_path / "b.csv.part")
    hidden = write(tmp_path / ".index.tmp")
    files = {"day": (good, half, hidden)}
    later = good.stat().st_ctime + 100
    _, state = settle_files(files, State(), later, SETTLE)
    assert settle_files(files, state, later, SETTLE)[0] == {}
    files = {"day": (good, hidden)}
    _, state = settle_files(files, state, later, SETTLE)
    assert list(settle_files(files, state, later, SETTLE)[0]) == ["day"]


def test_a_vanished_file_is_not_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    _, state = look(State(), path, later=100)
    path.unlink()
    for _ in range(2):
        whole, state = look(state, path, later=200)
        assert whole == set()


def test_a_clock_that_was_set_back_does_not_delay_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    _, state = look(State(), path, later=-10_000)
    assert look(state, path, later=-9_000)[0] == {"a.csv"}


_keys = st.dictionaries(st.text(max_size=8), st.text("0123456789abcdef", max_size=12))


@given(done=_keys, waiting=_keys)
def test_state_survives_writing_and_reading(done: dict[str, str], waiting: dict[str, str]) -> None:
    state = State(done, waiting)
    assert State.read(state.written()) == state
    assert State.read(None) == State()


def test_state_of_many_partitions_is_small() -> None:
    done = {f"2024-01-01|machine_{i}": f"{i * 7919:012x}" for i in range(1000)}
    assert len(State(done, {}).written()) < 20_000


@pytest.mark.parametrize("cursor", [None, "", "{}", "0", "ä", State().written()[:-2]])
def test_a_cursor_that_somebody_has_written_is_that_of_a_first_look(cursor: str | None) -> None:
    assert State.read(cursor) == State()
