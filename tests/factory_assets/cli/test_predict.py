"""`factory predict`: where it writes, and which rows have no prediction, told beside the output."""

import errno
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from factory_assets.cli.main import main
from tests.served_apples import enter_served

pytestmark = pytest.mark.slow


def _factory(*words: object) -> Result:
    done = CliRunner().invoke(main, [*map(str, words)])
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def apples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a pipeline that has a champion."""
    return enter_served(tmp_path, monkeypatch) / "defs" / "apples"


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


def test_predictions_go_where_a_link_leads_and_replace_others_when_they_are_whole(
    apples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, scored = tmp_path / "link.csv", tmp_path / "scored.csv"
    link.symlink_to(scored)
    words = ("predict", "apples", apples / "data.csv", "--out", link)
    _factory(*words)
    assert link.is_symlink()
    before = scored.read_text()
    assert before.count("\n") == 201
    scored.chmod(0o640)

    def full(_: object, path: str) -> None:
        Path(path).write_text("half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("pyarrow.csv.write_csv", full)
        done = CliRunner().invoke(main, [*map(str, words)])
    assert (done.exit_code, "No space left" in done.stderr) == (2, True)
    assert scored.read_text() == before
    _factory(*words)
    assert scored.read_text() != before
    assert (link.is_symlink(), scored.stat().st_mode & 0o777) == (True, 0o640)
    assert [one.name for one in tmp_path.glob(".*.csv")] == []
