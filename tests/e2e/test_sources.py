"""External sources through the real command: no output or stored file contains their secrets."""

from pathlib import Path

import pytest

from tests.commands import forked
from tests.pipelines import declare
from tests.postgres import Postgres
from tests.storage import S3

pytestmark = pytest.mark.slow
PASSWORD = "hush4711quiet"
KEY = "whisper0815key"


def test_a_chain_of_sources_runs_and_leaves_no_secret(
    postgres: Postgres, s3: S3, tmp_path: Path
) -> None:
    postgres.execute(
        "CREATE TABLE parts (id bigint, machine text, y double precision)",
        "INSERT INTO parts SELECT i, 'M' || i % 3, i % 7 FROM generate_series(1, 90) i",
        f"CREATE ROLE parts_reader LOGIN PASSWORD '{PASSWORD}'",
        "GRANT SELECT ON parts TO parts_reader",
    )
    s3.put("machines/all.csv", b"machine,age\nM0,5\nM1,6\n")
    folder, home = tmp_path / "defs", tmp_path / "home"
    machines = {
        "source": {"files": "s3://plant/machines/*.csv"},
        "on": "machine",
        "required": True,
    }
    ingest = {"source": {"database": "PLANT_DB", "table": "parts"}, "joins": {"m": machines}}
    # Alphabetically, the pipeline that reads comes before the one that it reads.
    declare(folder / "tested", {"purpose": "Parts with machines", "ingest": ingest})
    upstream = {"source": {"pipeline": "tested"}}
    declare(
        folder / "graded",
        {
            "purpose": "Grade",
            "ingest": upstream,
            "clean": {"derive": {"good": "y > 3"}},
            "train": {"target": "good", "exclude": ["y"], "model": {"kind": "linear"}},
        },
    )
    secrets = home / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "PLANT_DB").write_text(postgres.url_of("parts_reader", PASSWORD))
    (secrets / "PLANT_DB").chmod(0o600)
    variables = {
        "FACTORY_DEFS": str(folder),
        "FACTORY_S3_ENDPOINT": s3.endpoint,
        "FACTORY_S3_ACCESS_KEY": "reader",
        "FACTORY_S3_SECRET_KEY": KEY,
    }
    factory = forked(home, **variables)
    checked = factory("check", "graded", "tested")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    first = factory("run", "graded", "tested")
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.index("tested · ingest") < first.stdout.index("graded · ingest")
    again = factory("run", "graded", "tested")
    assert again.stdout.count("reused") >= 8, again.stdout
    (tmp_path / "new.csv").write_text("id,machine,y,age\n1,M0,2,5\n")
    scored = factory("predict", "graded", tmp_path / "new.csv")
    assert scored.returncode == 0, scored.stdout + scored.stderr
    assert "prediction" in scored.stdout

    (secrets / "PLANT_DB").write_text(postgres.url_of("parts_reader", f"{PASSWORD}no"))
    refused = factory("run", "tested")
    assert refused.returncode == 2
    assert "refuses the user or the password" in refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
    output = "".join(run.stdout + run.stderr for run in (checked, first, again, scored, refused))
    assert not [secret for secret in (PASSWORD, KEY) if secret in output]
    leaks = [
        path
        for path in home.rglob("*")
        if path.is_file()
        and path.parent != secrets
        and any(secret.encode() in path.read_bytes() for secret in (PASSWORD, KEY))
    ]
    assert leaks == []
