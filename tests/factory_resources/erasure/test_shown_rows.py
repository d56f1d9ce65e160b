"""Pages in Dagster's history that show rows are blanked, those of the pipeline alone."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import connect

from factory_resources.erasure.shown_rows import blank_shown_rows, without_pages
from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.home.home import Home
from factory_resources.home.sqlite_files import dagster_files
from tests.postgres import Postgres

_PAGE = "| nbr | age |\n|---|---|\n| 7 | 41 |"


def _entry(label: str, text: str = _PAGE) -> dict[str, Any]:
    return {
        "label": label,
        "entry_data": {"__class__": "MarkdownMetadataEntryData", "md_str": text},
    }


def test_pages_with_rows_go_and_all_else_stays() -> None:
    others = [_entry("slices"), {"label": "rows", "entry_data": {"value": 7}}]
    event = {"metadata_entries": [_entry("preview"), _entry("quarantine"), *others], "n": [1.5]}
    changed = json.loads(without_pages(json.dumps(event)))
    assert changed["metadata_entries"][2:] == others
    pages = [one["entry_data"]["md_str"] for one in changed["metadata_entries"][:2]]
    assert pages == ["(erased)", "(erased)"]
    assert changed["n"] == [1.5]


@pytest.mark.parametrize("text", ["", "{", '{"label": "rows"}', 'the "preview" of it', "[1, 2]"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert without_pages(text) == text


def test_only_events_of_the_pipelines_are_changed(tmp_path: Any) -> None:
    home = Home(tmp_path)
    path = dagster_files(home)[0].path
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            "CREATE TABLE event_logs (id INTEGER PRIMARY KEY, event, asset_key, step_key)"
        )
        event = json.dumps({"metadata_entries": [_entry("preview")]})
        keys = ['["people", "ingest"]', '["people2", "ingest"]', None]
        connection.executemany(
            "INSERT INTO event_logs (event, asset_key) VALUES (?, ?)",
            [(event, key) for key in keys],
        )
    assert blank_shown_rows(home, ["people"]) == 1
    assert blank_shown_rows(home, ["people"]) == 0
    with closing(sqlite3.connect(path)) as connection:
        events = [text for (text,) in connection.execute("SELECT event FROM event_logs")]
    assert ["41" in text for text in events] == [False, True, True]
    assert b"| 7 | 41 |" not in path.read_bytes().replace(json.dumps(_PAGE).encode(), b"", 2)


@pytest.mark.slow
def test_pages_on_a_server_are_blanked_too(
    postgres: Postgres, prepared_tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = json.dumps({"metadata_entries": [_entry("preview"), _entry("slices")]})
    assets = [f'["{name}", "ingest"]' for name in ("people", "people2")]
    with postgres.database(prepared_tables) as address:
        monkeypatch.setenv(DATABASE_VARIABLE, address)
        with closing(connect(address)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            columns = "run_id, event, timestamp, step_key, asset_key"
            rows = [("r", event, None, asset) for asset in (*assets, None)]
            rows.append(("r", event, "people__clean", None))
            cursor.executemany(
                f"INSERT INTO event_logs ({columns}) VALUES (%s, %s, now(), %s, %s)", rows
            )
            cursor.executemany(
                "INSERT INTO asset_keys (asset_key, last_materialization) VALUES (%s, %s)",
                [(asset, event) for asset in assets],
            )
            assert blank_shown_rows(Home(tmp_path), ["people"]) == 3
            assert blank_shown_rows(Home(tmp_path), ["people"]) == 0
            cursor.execute("SELECT event FROM event_logs ORDER BY id")
            shown = [text.count("41") for (text,) in cursor.fetchall()]
            cursor.execute("SELECT last_materialization FROM asset_keys ORDER BY asset_key")
            shown += [text.count("41") for (text,) in cursor.fetchall()]
    assert shown == [1, 2, 2, 1, 1, 2]
