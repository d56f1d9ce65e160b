"""One setting moves the factory to PostgreSQL: tested with a real server on a unix socket."""

import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import forked, several
from tests.pipelines import APPLES, declare, write_apples
from tests.postgres import Postgres
from tests.serving import serving

pytestmark = pytest.mark.slow


@pytest.fixture
def address(postgres: Postgres, prepared_tables: str) -> Iterator[str]:
    """The address of a database of its own; the tables of libraries are there."""
    with postgres.database(prepared_tables) as address:
        yield address


@pytest.mark.long
def test_a_pipeline_runs_and_is_reused_on_postgres(
    postgres: Postgres, address: str, tmp_path: Path
) -> None:
    folder = tmp_path / "defs" / "apples"
    folder.mkdir(parents=True)
    write_apples(folder)
    declare(folder, APPLES)
    home = tmp_path / "home"
    variables = {"FACTORY_DEFS": str(folder.parent), "FACTORY_DATABASE_URL": address}
    factory = forked(home, **variables)
    first = factory("run", "apples")
    assert first.returncode == 0, first.stdout + first.stderr
    again = factory("run", "apples")
    assert again.stdout.count("reused") >= 6, again.stdout
    assert "nothing changed since" in again.stdout
    assert not (home / "mlflow.db").exists()
    assert list((home / "dagster").rglob("*.db")) == []
    assert postgres.execute(
        "SELECT count(*) FROM runs WHERE status = 'SUCCESS'", database=address
    ) == [(1,)]
    assert postgres.execute("SELECT count(*) FROM mlflow.model_versions", database=address) == [
        (1,)
    ]
    assert "postgresql:" not in (home / "prepared.json").read_text()
    told = several(
        ["trace", "apples@1"],
        ["reproduce", "apples@1"],
        ["evidence", "apples@1", "--out", str(tmp_path / "evidence.zip")],
        ["gc", "--apply", "--older-than", "0d"],
        ["verify"],
        home=home,
        **variables,
    )
    assert "all holds" in told
    # Commands of Dagster itself find it too.
    listed = subprocess.run(
        [
            "sh",
            "-c",
            'eval "$("$1" -m factory_assets.cli env)"; "$1" -m dagster run list',
            "",
            sys.executable,
        ],
        env={**os.environ, "FACTORY_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Job: apples" in listed.stdout, listed.stderr


def test_people_decide_on_postgres(address: str, tmp_path: Path) -> None:
    folder, home = tmp_path / "defs" / "apples", tmp_path / "home"
    write_apples(folder)
    declare(folder, {**APPLES, "deploy": {"approval": {}}})
    factory = forked(
        home,
        FACTORY_DEFS=str(folder.parent),
        FACTORY_DATABASE_URL=address,
        XDG_CONFIG_HOME=str(tmp_path / "config"),
        FACTORY_PASSPHRASE="correct horse",
    )
    for arguments, said in (
        (("key", "new", "jane", "--role", "approver"), "added jane to"),
        (("run", "apples"), "waits for 1 approver"),
        (("approve", "apples", "--reason", "good"), "approved by jane"),
        (("stop", "apples", "--reason", "odd"), "stopped by jane"),
        (("resume", "apples", "--reason", "fine"), "resumed by jane"),
        (("verify",), "3 decisions"),
        (("status",), "All is well."),
    ):
        done = factory(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert said in done.stdout, done.stdout + done.stderr


@pytest.mark.long
def test_outcomes_come_back_on_postgres(postgres: Postgres, address: str, tmp_path: Path) -> None:
    folder, home = tmp_path / "defs" / "apples", tmp_path / "home"
    write_apples(folder)
    declare(folder, APPLES)
    learned = copy.deepcopy(APPLES)
    learned["ingest"]["source"] = {"answers": "apples"}
    declare(folder.parent / "learned", learned)
    variables = {"FACTORY_DEFS": str(folder.parent), "FACTORY_DATABASE_URL": address}
    factory = forked(home, **variables)
    done = factory("run", "apples")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [{"size": i % 7 + i / 100, "colour": "red"} for i in range(1, 41)]
    with serving(home, **variables) as predictions:
        answers = predictions.ask("/predict/apples", rows).json["predictions"]
        said = [
            {"id": answer["id"], "outcome": "good" if row["size"] % 7 > 3.5 else "bad"}
            for answer, row in zip(answers, rows, strict=True)
        ]
        assert predictions.ask("/feedback", said[:20]).json["recorded"] == 20
        assert predictions.ask("/feedback", said[:21]).json["repeated"] == 20
    file = tmp_path / "outcomes.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in said))
    done = factory("feedback", "apples", file)
    assert done.stdout.startswith("19 recorded, 0 corrected, 21 repeated"), done.stderr
    done = factory("feedback", "apples")
    assert "40 (100.0%)" in done.stdout, done.stdout + done.stderr
    assert postgres.execute("SELECT count(*) FROM outcomes.outcome", database=address) == [(40,)]
    assert not (home / "outcomes.db").exists()
    entered = postgres.execute(
        "SELECT sum(count), min(entered) FROM outcomes.outcome_batch", database=address
    )
    assert entered == [(40, 1)]
    done = factory("run", "learned", "--stages", "ingest")
    assert done.returncode == 0, done.stdout + done.stderr
    done = factory("trace", "learned/ingest", "--row", "3")
    assert f"answer {said[2]['id']}" in done.stdout, done.stdout + done.stderr
    done = factory("verify")
    assert done.returncode == 0, done.stdout


@pytest.mark.long
@pytest.mark.parametrize("seconds", [1, 15, 60])
def test_a_server_that_stops_in_the_middle_of_a_run_loses_nothing(
    seconds: int, postgres: Postgres, address: str, tmp_path: Path
) -> None:
    folder, home = tmp_path / "defs" / "apples", tmp_path / "home"
    write_apples(folder)
    declare(folder, APPLES)
    variables = {"FACTORY_DEFS": str(folder.parent), "FACTORY_DATABASE_URL": address}
    factory = forked(home, **variables)
    assert factory("run", "apples").returncode == 0
    for stage in ("ingest", "split"):
        finished = f"records/apples/runs/*/{stage}.json"
        before = {*home.glob(finished)}
        interrupted = subprocess.Popen(
            [sys.executable, "-m", "factory_assets.cli", "run", "apples", "--no-reuse"],
            env={**os.environ, "FACTORY_HOME": str(home), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while {*home.glob(finished)} == before:
            assert interrupted.poll() is None
            time.sleep(0.01)
        postgres.stop()
        time.sleep(seconds)
        postgres.start()
        output, errors = interrupted.communicate(timeout=300)
        told = [line for line in errors.splitlines() if line.startswith("error: ")]
        assert "Traceback" not in output + errors
        assert interrupted.returncode == (2 if told else 0), output + errors
        assert all("the database of FACTORY_DATABASE_URL cannot be used" in line for line in told)
        assert len(told) <= 1, errors
        assert "Retrying" not in errors
        again = factory("run", "apples")
        assert again.returncode == 0, again.stdout + again.stderr
        verified = factory("verify")
        assert verified.returncode == 0, verified.stdout
