"""Notes of runs in which nothing changed, until one of several processes tells Dagster of them."""

from pathlib import Path

import pytest

from factory_assets.execution.unchanged_notes import note, take_notes
from factory_resources.home.home import Home


def test_of_two_that_take_the_notes_at_once_each_takes_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    by_other: list[int] = []
    replace = Path.replace

    def replaced(path: Path, target: Path) -> Path:
        moved = replace(path, target)
        if not by_other:
            # Meanwhile a run ends, and another process takes its note.
            by_other.append(0)
            note("pears", [], home)
            by_other[0] = len(take_notes(home))
        return moved

    note("apples", [], home)
    monkeypatch.setattr(Path, "replace", replaced)
    assert [run.pipeline for run in take_notes(home)] == ["apples"]
    assert by_other == [1]
    assert take_notes(home) == []
