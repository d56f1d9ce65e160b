"""What Dagster would ask its databases again and again, and does not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
)
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage
from sqlalchemy import Engine, event

from factory_resources.dagster_databases import ask_less


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the statements that any database is asked meanwhile."""
    found: list[str] = []

    def add(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(statement)

    event.listen(Engine, "before_cursor_execute", add)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", add)


def test_the_state_of_a_sensor_is_changed_without_a_look_for_its_tables(tmp_path: Path) -> None:
    ask_less()
    location = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("factory"), "all")
    origin = RemoteInstigatorOrigin(location, "apples_arrivals")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        state = InstigatorState(
            origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData()
        )
        instance.add_instigator_state(state)
        instance.update_instigator_state(state)
        with statements() as asked:
            instance.update_instigator_state(state)
    assert [one.split()[0] for one in asked] == ["SELECT", "UPDATE", "INSERT", "UPDATE"]


def test_what_is_not_there_is_asked_for_again(tmp_path: Path) -> None:
    ask_less()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        storage = instance.schedule_storage
        assert isinstance(storage, SqlScheduleStorage)
        for index in ("first", "second"):
            assert not storage.has_built_index(index)
            storage.mark_index_built(index)
            assert storage.has_built_index(index)


def test_a_file_has_one_engine_which_keeps_it_open_for_nobody(tmp_path: Path) -> None:
    ask_less()
    create = sqlite_run_storage.create_engine
    address = f"sqlite:///{tmp_path}/runs.db"
    pool = sqlite_run_storage.NullPool
    engine = create(address, poolclass=pool)
    assert create(address, poolclass=pool) is engine
    assert create(address, poolclass=pool, connect_args={"timeout": 1}) is not engine
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE run (id)")
    (tmp_path / "runs.db").unlink()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT * FROM sqlite_master").all() == []


def test_engines_of_old_runs_are_given_up(tmp_path: Path) -> None:
    ask_less()
    create = sqlite_run_storage.create_engine
    first = create(f"sqlite:///{tmp_path}/first.db")
    for number in range(64):
        create(f"sqlite:///{tmp_path}/{number}.db")
    assert create(f"sqlite:///{tmp_path}/first.db") is not first


def test_asking_less_again_changes_nothing() -> None:
    ask_less()
    before = sqlite_run_storage.create_engine, SqlScheduleStorage.has_built_index
    ask_less()
    assert before == (sqlite_run_storage.create_engine, SqlScheduleStorage.has_built_index)
