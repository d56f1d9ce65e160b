"""What released factories have stored stays readable, and can be added to, by today's code."""

import sqlite3
import stat
from contextlib import closing

import pytest

from factory_resources.errors import StorageError
from factory_resources.home.database import alchemy_address, chosen_database, server_address
from factory_resources.home.home import Home
from factory_resources.instance import create_dagster
from factory_resources.ledger.entries import FilesRemoved
from factory_resources.ledger.ledger import Ledger
from factory_resources.migration.report import check_ledger
from factory_resources.migration.to_files import to_files
from factory_resources.migration.to_server import to_server
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.prediction_log.engines import open_store
from factory_resources.prediction_log.ids import PredictionIds, day_of, text
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.sources.digest_cache import DigestCache
from tests.engines import ON_FILES
from tests.factory_resources.outcomes.samples import add, current, feedback, record_some
from tests.factory_resources.prediction_log.homes import fill, problems
from tests.factory_resources.prediction_log.samples import record
from tests.factory_resources.released_forms import (
    ANSWERS,
    ANSWERS_OF_UNKNOWN_LENGTH,
    DIGESTS,
    LEDGER,
    OUTCOMES,
    ReleasedForm,
)
from tests.postgres import Postgres

_BLOCKS = "SELECT number, identity, first, last, count, longest FROM block"
_NEWEST = {LEDGER: 1, ANSWERS: 3, ANSWERS_OF_UNKNOWN_LENGTH: 3, OUTCOMES: 1}


def _remove(home: Home, path: str) -> range:
    return Ledger(home).append([FilesRemoved(paths=(path,), reason="r")])


@pytest.fixture
def filled(home: Home, engine: str) -> list[bytes]:
    """The ids of answers in a home with a ledger, answers and outcomes."""
    Ledger(home).begin()
    with PredictionLog(home) as log:
        ids = fill(log, PredictionIds(), [3, 300])
    record_some(home, [2, 5])
    return [*ids[0], *ids[1]]


def test_a_released_ledger_has_the_same_root_and_grows(
    home: Home, engine: str, filled: list[bytes]
) -> None:
    size, root = check_ledger(home) or (0, "")
    entries = LEDGER.put_back(home.path)["entry"]
    assert len(entries) == size
    assert check_ledger(home) == (size, root)
    assert LEDGER.read(home.path, "SELECT * FROM entry") == sorted(entries)
    assert [*_remove(home, "a")] == [size]
    assert LEDGER.number(home.path) == 1
    assert (check_ledger(home) or (0, ""))[0] == size + 1
    with pytest.raises(Exception, match="append-only"):
        LEDGER.read(home.path, "DELETE FROM entry")


@pytest.mark.parametrize("form", [ANSWERS_OF_UNKNOWN_LENGTH, ANSWERS], ids=["unknown", "known"])
def test_released_answers_are_found_and_others_follow(
    home: Home, engine: str, filled: list[bytes], form: ReleasedForm
) -> None:
    blocks = form.read(home.path, _BLOCKS)
    stored = form.put_back(home.path)["prediction"]
    with PredictionLog(home) as log:
        assert {row[0]: row for row in stored}.keys() == {*filled}
        for number, identifier in enumerate(filled):
            found = log.find(text(identifier, 0))
            assert found.record.input == record(number).input
        [new] = fill(log, PredictionIds(), [4])
        assert log.find(text(new[0], 0)).record.input == record(0).input
    assert form.number(home.path) == 3
    assert [row for row in form.read(home.path, _BLOCKS) if row in blocks] == blocks
    with (
        open_store(home) as store,
        store.export("apples", day_of(filled[0])) as batches,
    ):
        assert sum(batch.num_rows for batch in batches) == len(filled) + len(new)
    if engine == "sqlite":
        assert problems(home) == []


def test_released_outcomes_are_current_and_others_follow(
    home: Home, engine: str, filled: list[bytes]
) -> None:
    before = current(home)
    rows = OUTCOMES.put_back(home.path)["outcome"]
    assert current(home) == before
    assert OUTCOMES.read(home.path, "SELECT * FROM outcome") == sorted(rows)
    [known, *_] = before
    again = [feedback(known), feedback(known, '"bad"')]
    assert add(home, again) == ["repeated", "corrected"]
    assert OUTCOMES.number(home.path) == 1
    if engine == "sqlite":
        assert problems(home) == []


def test_a_released_ledger_is_read_where_nothing_can_be_written(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FACTORY_DATABASE_URL", raising=False)
    Ledger(home).begin()
    LEDGER.put_back(home.path)
    before = home.ledger.read_bytes()
    home.ledger.chmod(stat.S_IRUSR)
    with Ledger(home).reading() as log:
        assert log.size == 1
    assert home.ledger.read_bytes() == before


@pytest.mark.parametrize("form", [LEDGER, ANSWERS, OUTCOMES], ids=lambda form: form.schema)
def test_a_store_of_a_newer_factory_is_refused_in_one_line(
    home: Home, engine: str, filled: list[bytes], form: ReleasedForm, postgres: Postgres
) -> None:
    if engine == "sqlite":
        with closing(sqlite3.connect(home.path / form.file)) as raw:
            raw.execute("PRAGMA user_version = 9")
    else:
        number = f"UPDATE {form.schema}.schema_version SET number = 9"
        postgres.execute(number, database=server_address())
    reads = {
        LEDGER: lambda: Ledger(home).latest(FilesRemoved, "x"),
        ANSWERS: lambda: open_store(home),
        OUTCOMES: lambda: open_outcomes(home),
    }
    for use in (reads[form], *([lambda: _remove(home, "a")] if form is LEDGER else [])):
        with pytest.raises(StorageError, match=r"has format 9, .*; .* version that wrote it$"):
            use()


def test_a_released_digest_cache_is_used_and_a_newer_one_is_not(home: Home) -> None:
    DigestCache(home).remember("a", "sign", "ab" * 32)
    DIGESTS.put_back(home.path)
    assert DigestCache(home).recall("a", "sign") == "ab" * 32
    assert DIGESTS.number(home.path) == 1
    with closing(sqlite3.connect(home.path / DIGESTS.file)) as raw:
        raw.execute("PRAGMA user_version = 9")
    assert DigestCache(home).recall("a", "sign") is None
    assert DIGESTS.number(home.path) == 9
    assert len(DIGESTS.read(home.path, "SELECT * FROM digests")) == 1


@ON_FILES
def test_released_forms_move_to_postgresql_and_back_in_the_newest_form(
    home: Home, engine: str, filled: list[bytes], postgres: Postgres
) -> None:
    create_dagster(home.dagster)
    forms = (LEDGER, ANSWERS_OF_UNKNOWN_LENGTH, OUTCOMES)
    root, blocks = check_ledger(home), ANSWERS.read(home.path, _BLOCKS)
    for form in forms:
        form.put_back(home.path)
    with postgres.database() as address:
        moved = to_server(home, address, lambda _: None)
        assert moved.ledger == root
        with chosen_database(alchemy_address(address)):
            assert [form.number(home.path) for form in forms] == [_NEWEST[form] for form in forms]
            # As a factory without numbers had moved it.
            for form in forms:
                form.put_back(home.path)
        back = to_files(home, address, lambda _: None)
    assert back.ledger == root
    assert [form.number(home.path) for form in forms] == [_NEWEST[form] for form in forms]
    assert ANSWERS.read(home.path, _BLOCKS) == blocks
    assert problems(home) == []
