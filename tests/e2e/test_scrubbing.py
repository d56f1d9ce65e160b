"""After a real run, Dagster's history has no value any more, and Dagster reads it as before."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from factory_resources.erasure.caches import drop_caches
from factory_resources.erasure.scrubbing import scrub
from factory_resources.erasure.search import find_values
from factory_resources.erasure.values import Value
from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from tests.commands import forked
from tests.engines import ENGINES, prepared_database
from tests.long_run import in_long
from tests.pipelines import APPLES, declare, enter, write_apples
from tests.postgres import Postgres

pytestmark = pytest.mark.slow

SIZE, COLOUR, PICKED = 71.38091746, 'Lamplighter\'s "née" red', datetime(2025, 8, 9, 10, 11, 12)
VALUES: list[Value] = [SIZE, COLOUR, PICKED]
_LIBRARIES = ("dagster/", "mlflow.db", "tune.db", "pictures/", "profiles/", "logs/")
_STAGES = ("--stages", "ingest,clean")


@dataclass(frozen=True)
class Ran:
    """A home in which one pipeline has run, and one has failed."""

    home: Home
    address: str


@pytest.fixture(scope="module", params=[ENGINES[0], *in_long(ENGINES[1:])])
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    root = tmp_path_factory.mktemp("ran")
    for name, contract in (("apples", {}), ("pears", {"values": ["red", "green"]})):
        folder = root / "defs" / name
        write_apples(folder)
        _plant(folder / "data.csv")
        columns = [dict(column) for column in APPLES["ingest"]["contract"]]
        columns[1].update(contract)
        columns.append({"name": "picked", "type": "timestamp"})
        ingest = {**APPLES["ingest"], "contract": columns, "max_quarantine": 0.001}
        declare(folder, {**APPLES, "ingest": ingest})
    with prepared_database(request) as address, pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        if address:
            patch.setenv(DATABASE_VARIABLE, address)
        else:
            patch.delenv(DATABASE_VARIABLE, raising=False)
        done = forked(root / "home")("run", "apples", "pears", *_STAGES)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "such as" in done.stdout + done.stderr
        yield Ran(Home(root / "home"), address)


def _plant(data: Path) -> None:
    """Give every row a day, and put the person's row first, so that it is in the preview."""
    header, *lines = data.read_text().splitlines()
    quoted = COLOUR.replace('"', '""')
    person = f'{SIZE},"{quoted}",good,{PICKED}'
    rows = [f"{line},2025-01-01 00:00:00" for line in lines]
    data.write_text("\n".join([f"{header},picked", person, *rows]) + "\n")


def _left(home: Home) -> set[str]:
    """Return the places of libraries, logs and caches that have a value."""
    found = {one.path for one in find_values(home, VALUES)}
    return {path for path in found if path.startswith((*_LIBRARIES, DATABASE_VARIABLE))}


def test_a_scrubbed_history_has_no_value_and_can_be_read(ran: Ran, postgres: Postgres) -> None:
    before = _history(ran.home)
    assert _left(ran.home)
    assert "Lamplighter" in json.dumps(before)
    done = scrub(ran.home, VALUES)
    assert any("event_logs.event" in place for place in done)
    drop_caches(ran.home, ["apples", "pears"])
    assert not _left(ran.home)
    assert not scrub(ran.home, VALUES)
    after = _history(ran.home)
    assert after.keys() == before.keys()
    assert [len(events) for events in after.values()] == [len(one) for one in before.values()]
    assert "(erased)" in json.dumps(after)
    assert "Lamplighter" not in json.dumps(after)
    if ran.address:
        assert not _files_of_server(postgres, ran.address)
    again = forked(ran.home.path)("run", "apples", *_STAGES)
    assert "nothing changed since" in again.stdout, again.stdout + again.stderr


def _history(home: Home) -> dict[str, list[str]]:
    """Return the events of each run as Dagster reads them, and the last one of each asset."""
    from dagster import DagsterInstance

    prepare(home)

    with DagsterInstance.get() as instance:
        runs = {run.run_id: instance.all_logs(run.run_id) for run in instance.get_runs()}
        events: dict[str, list[Any]] = {run: [*logged] for run, logged in runs.items()}
        for key in instance.all_asset_keys():
            events[key.to_user_string()] = [instance.get_latest_materialization_event(key)]
    assert events
    return {name: [repr(event) for event in listed] for name, listed in events.items()}


def _files_of_server(postgres: Postgres, address: str) -> list[Path]:
    """Return the files of the database's tables that have the text."""
    with postgres.at_rest(address) as folder:
        files = [*folder.iterdir()]
        assert len(files) > 100
        return [path for path in files if path.is_file() and b"Lamplighter" in path.read_bytes()]
