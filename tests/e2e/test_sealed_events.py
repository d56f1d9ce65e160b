"""Runs inside a boundary send their events to the server that is allowed, and to no other."""

import json
from typing import Any

import pytest
import yaml

from factory_assets.openlineage.delivery import events_folder
from tests.event_server import receiving_events
from tests.factory_resources.boundary.machine import needs_namespaces
from tests.long_run import in_long
from tests.openlineage_reader import read_event
from tests.pipelines import APPLES, declare, write_apples
from tests.user_factory import UserFactory, user_factory

pytestmark = [pytest.mark.slow, needs_namespaces]

INGEST = {"purpose": APPLES["purpose"], "ingest": APPLES["ingest"]}
BOTH = ["START", "COMPLETE"]


def _run(place: UserFactory, rows: int, **settings: Any) -> str:
    """Run the first stages on another table; return what was printed."""
    folder = place.path / "defs" / "apples"
    declare(folder, INGEST)
    write_apples(folder, rows=rows)
    (place.path / "defs" / "factory.yaml").write_text(yaml.safe_dump(settings))
    done = place.run("apples", "--stages", "ingest")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return " ".join(done.stdout.split())


def _stored(place: UserFactory, name: str) -> list[str]:
    lines = (events_folder(place.home) / name).read_text().splitlines()
    return [read_event(json.loads(line)).eventType.name for line in lines]


@pytest.mark.parametrize("also_stored", [False, *in_long([True])])
def test_a_sealed_run_sends_its_events_only_where_it_may(also_stored: bool) -> None:
    with user_factory() as place, receiving_events() as (port, taken, _):
        address = f"127.0.0.1:{port}"
        sent = {"openlineage": {"address": address}}

        told = _run(place, 100, **sent)
        assert f"the boundary does not allow {address}" in told
        assert (taken, _stored(place, "spool.jsonl")) == ([], BOTH)

        told = _run(place, 110, **sent, boundary={"level": "required", "allow": [address]})
        assert "OpenLineage" not in told
        assert [read_event(one).eventType.name for one in taken] == BOTH * 2
        assert _stored(place, "spool.jsonl") == []
        _, held = place.boundaries()
        assert held.level == "namespaces"
        assert held.allowed[address].connections == 4
        assert held.allowed[address].sent > sum(len(json.dumps(one)) for one in taken)

        if not also_stored:
            return
        told = _run(place, 120, openlineage={}, boundary="required")
        assert "OpenLineage" not in told
        assert _stored(place, "events.jsonl") == BOTH
        assert len(taken) == 4
