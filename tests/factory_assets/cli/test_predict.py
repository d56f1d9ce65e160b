"""`factory predict`: where it writes, and which rows have no prediction, told beside the output."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from factory_assets.cli.main import main
from tests.pipelines import APPLES, declare, enter, write_apples

pytestmark = pytest.mark.slow


def _factory(*words: object) -> Result:
    done = CliRunner().invoke(main, [*map(str, words)])
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def apples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a pipeline that has a champion."""
    folder = tmp_path / "defs" / "apples"
    write_apples(folder)
    declare(folder, APPLES)
    enter(tmp_path, monkeypatch)
    _factory("run", "apples")
    return folder


def test_rows_without_a_prediction_are_counted_on_standard_error(
    apples: Path, tmp_path: Path
) -> None:
    scored = _factory("predict", "apples", apples / "data.csv")
    assert (scored.stdout.count("\n"), scored.stderr) == (201, "")
    new = tmp_path / "new.csv"
    new.write_text("size,colour\n1.5,red\nlarge,red\n-1,red\n-2,green\n2.5,green\n1e39,green\n")
    told = "6 rows: 2 scored, 4 not (2 positive, 1 type:size, 1 overflow:size)\n"
    scored = _factory("predict", "apples", new)
    assert (scored.stdout.count("\n"), scored.stderr) == (7, told)
    written = _factory("predict", "apples", new, "--out", tmp_path / "scored.csv")
    assert (written.stdout, written.stderr) == ("", told)


def test_predictions_go_where_a_link_leads_although_nothing_is_there_yet(
    apples: Path, tmp_path: Path
) -> None:
    link, scored = tmp_path / "link.csv", tmp_path / "scored.csv"
    link.symlink_to(scored)
    _factory("predict", "apples", apples / "data.csv", "--out", link)
    assert link.is_symlink()
    assert scored.read_text().count("\n") == 201
