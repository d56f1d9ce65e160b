"""Tables of an older form are brought up to date, all or nothing; those of a newer one refused."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from factory_resources.errors import StorageError
from factory_resources.home.database import schema_address, schema_words
from factory_resources.home.home import PROJECT
from factory_resources.home.schema import Schema, SchemaMigration, VersionedTables
from tests.postgres import Postgres

_MAKE = SchemaMigration(
    "CREATE TABLE apple (number {integer} PRIMARY KEY);\n",
    ("apple", "number"),
    sqlite="CREATE TRIGGER counted AFTER INSERT ON apple\nBEGIN SELECT 1; SELECT 2; END;\n",
    postgresql="CREATE INDEX counted ON apple (number);\n",
)
_WEIGH = SchemaMigration(
    "ALTER TABLE apple ADD COLUMN weight {integer} NOT NULL DEFAULT 0;\n"
    "UPDATE apple SET weight = 10 * number;\n"
)
OLD = Schema("fruit", "the store of fruit", (_MAKE,))
NEW = Schema("fruit", "the store of fruit", (_MAKE, _WEIGH))

_DIE = """
import os, sys
from tests.factory_resources.home.test_schema import NEW, Fruit

fruit, left = Fruit(sys.argv[1], sys.argv[2]), int(sys.argv[3])
with fruit.connected(NEW) as tables:
    run = tables.run

    def dying(statement):
        global left
        left -= 1
        try:
            return run(statement)
        finally:
            if left == 0:
                os.kill(os.getpid(), 9)

    object.__setattr__(tables, "run", dying)
    tables.update(create=True)
"""


@dataclass(frozen=True)
class Fruit:
    """A database, empty at first."""

    engine: str
    place: str
    """The file, or the address of the server."""

    @contextmanager
    def connected(self, schema: Schema) -> Iterator[VersionedTables]:
        with closing(self._connect()) as raw:

            def run(statement: str) -> list[Any]:
                cursor = raw.cursor()
                cursor.execute(statement)
                return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

            if self.engine == "sqlite":
                yield VersionedTables(schema, "sqlite", run, self.place)
            else:
                yield VersionedTables(schema, "postgresql", run, schema_words("fruit"))

    def _connect(self) -> Any:
        if self.engine == "sqlite":
            return sqlite3.connect(self.place, timeout=60, isolation_level=None)
        import psycopg2

        raw = psycopg2.connect(schema_address(self.place, "fruit"))
        raw.autocommit = True
        return raw

    def update(self, schema: Schema, *, create: bool = True) -> None:
        with self.connected(schema) as tables:
            tables.update(create=create)

    def run(self, statement: str) -> list[Any]:
        with self.connected(NEW) as tables:
            return tables.run(statement)

    def forget_number(self) -> None:
        """Make it a database of before forms had numbers."""
        forget = "PRAGMA user_version = 0"
        self.run(forget if self.engine == "sqlite" else "DROP TABLE schema_version")


@pytest.fixture(params=["sqlite", "postgres"])
def fruit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fruit]:
    if request.param == "sqlite":
        yield Fruit("sqlite", str(tmp_path / "fruit.db"))
        return
    server: Postgres = request.getfixturevalue("postgres")
    server.execute("DROP SCHEMA IF EXISTS fruit CASCADE")
    yield Fruit("postgres", server.url)
    server.execute("DROP SCHEMA IF EXISTS fruit CASCADE")


def _newest(fruit: Fruit, schema: Schema) -> bool:
    with fruit.connected(schema) as tables:
        return tables.is_newest()


def test_a_new_database_gets_the_newest_form(fruit: Fruit) -> None:
    fruit.update(NEW)
    fruit.run("INSERT INTO apple VALUES (1, 2)")
    fruit.update(NEW)
    assert fruit.run("SELECT number, weight FROM apple") == [(1, 2)]
    assert _newest(fruit, NEW)


def test_an_empty_database_stays_empty_unless_tables_are_wanted(fruit: Fruit) -> None:
    fruit.update(NEW, create=False)
    assert not _newest(fruit, NEW)
    with pytest.raises(Exception, match="apple"):
        fruit.run("SELECT * FROM apple")


@pytest.mark.parametrize("numbered", [True, False])
def test_an_older_form_is_brought_up_to_date_with_its_rows(fruit: Fruit, numbered: bool) -> None:
    fruit.update(OLD)
    fruit.run("INSERT INTO apple VALUES (1), (2)")
    if not numbered:
        fruit.forget_number()
    assert _newest(fruit, OLD)
    assert not _newest(fruit, NEW)
    fruit.update(NEW, create=False)
    assert fruit.run("SELECT number, weight FROM apple ORDER BY number") == [(1, 10), (2, 20)]
    assert _newest(fruit, NEW)


def test_a_form_without_a_number_is_recognised_and_gets_one(fruit: Fruit) -> None:
    schema = replace(NEW, migrations=(_MAKE, replace(_WEIGH, adds=("apple", "weight"))))
    fruit.update(schema)
    fruit.run("INSERT INTO apple VALUES (1, 2)")
    fruit.forget_number()
    assert _newest(fruit, schema)
    fruit.update(schema)
    assert fruit.run("SELECT number, weight FROM apple") == [(1, 2)]
    with pytest.raises(StorageError, match="format 2"):
        fruit.update(OLD)


def test_a_newer_form_is_refused_in_one_line_and_stays(fruit: Fruit) -> None:
    fruit.update(NEW)
    fruit.run("INSERT INTO apple VALUES (1, 2)")
    for ask in (fruit.update, lambda schema: _newest(fruit, schema)):
        with pytest.raises(StorageError) as refused:
            ask(OLD)
        where = fruit.place if fruit.engine == "sqlite" else "FACTORY_DATABASE_URL, schema fruit"
        assert str(refused.value) == (
            f"{where}: the store of fruit has format 2, but this version of the factory reads "
            "formats up to 1; use the newer version that wrote it"
        )
    assert _newest(fruit, NEW)
    assert fruit.run("SELECT number, weight FROM apple") == [(1, 2)]


def test_an_opening_of_the_newest_form_is_one_statement(fruit: Fruit) -> None:
    fruit.update(NEW)
    statements = []
    with fruit.connected(NEW) as tables:
        replace(tables, run=lambda one: statements.append(one) or tables.run(one)).update(
            create=True
        )
    assert len(statements) == 1


def test_a_migration_that_fails_changes_nothing(fruit: Fruit) -> None:
    fruit.update(OLD)
    fruit.run("INSERT INTO apple VALUES (1)")
    broken = replace(_WEIGH, script=f"{_WEIGH.script}UPDATE nothing SET weight = 1;\n")
    with pytest.raises(Exception, match="nothing"):
        fruit.update(replace(NEW, migrations=(_MAKE, broken)))
    assert fruit.run("SELECT * FROM apple") == [(1,)]
    assert _newest(fruit, OLD)


def test_those_who_open_an_older_form_at_once_migrate_it_once(fruit: Fruit) -> None:
    fruit.update(OLD)
    fruit.run("INSERT INTO apple VALUES (1)")
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(fruit.update, NEW) for _ in range(16)]:
            done.result()
    assert fruit.run("SELECT number, weight FROM apple") == [(1, 10)]


def test_a_kill_within_a_migration_leaves_the_old_form_or_the_new_one(fruit: Fruit) -> None:
    fruit.update(OLD)
    fruit.run("INSERT INTO apple VALUES (1)")
    fruit.forget_number()
    forms = []
    for statements in range(1, 20):
        arguments = [sys.executable, "-c", _DIE, fruit.engine, fruit.place, str(statements)]
        done = subprocess.run(arguments, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode in (0, -9), done.stderr
        if done.returncode == 0:
            break
        rows = fruit.run("SELECT * FROM apple")
        forms.append(2 if _newest(fruit, NEW) else 1)
        assert rows == [(1,) if forms[-1] == 1 else (1, 10)]
    # The last statement that may be followed by a kill is the first of the next opening.
    assert forms[-2:] == [1, 2]
    assert len(forms) >= 6
    assert set(forms[:-1]) == {1}
