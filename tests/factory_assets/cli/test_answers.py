"""`factory answers prove`: what it hands out, and what it warns of."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from factory_assets.cli.main import main
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log.ids import PredictionIds, text
from factory_resources.prediction_log.prediction_log import PredictionLog
from tests.factory_resources.prediction_log.samples import payload


@pytest.mark.parametrize(
    ("rows", "warning"),
    [
        (1, ""),
        (2, "warning: the proof has the whole request, with inputs and answers of 1 other row\n"),
        (
            500,
            "warning: the proof has the whole request, with inputs and answers of 499 other rows\n",
        ),
    ],
)
def test_a_proof_warns_of_the_other_rows_in_it(
    rows: int, warning: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "home"))
    home = Home.from_env()
    Ledger(home).begin()
    request = PredictionIds().take(rows)
    with PredictionLog(home) as log:
        journal = log.journal()
        journal.append(request, payload(rows=rows))
        journal.flush()
        journal.close()
    proof = tmp_path / "a proof.json"
    done = CliRunner().invoke(main, ["answers", "prove", text(request), "--out", str(proof)])
    assert (done.exit_code, done.stderr) == (0, warning), done.output
    assert proof.is_file()
    assert "--prediction 'a proof.json'" in done.stdout
