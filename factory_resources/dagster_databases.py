"""How a process asks Dagster's databases: without what Dagster repeats at every question.

Which databases there are, and how they are made, belongs in `instance`.
"""

from collections.abc import Callable
from typing import Any

_FILES = 64
"""SQLite files whose engines are kept at the same time; each run has one of its own."""


def ask_less() -> None:
    """Let this process ask Dagster's databases less. Safe to call again.

    Dagster makes an engine of SQLAlchemy for each connection to a SQLite file, 280 in a run of a
    small pipeline, and each compiles the same statements again. And each time that a sensor or a
    schedule is looked at, it asks a dozen times whether its tables are there.
    """
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage
    from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage
    from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage

    # Dagster has no setting for any of it.
    for module in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
        _replace(module, "create_engine", _sharing)
    for name in ("has_instigators_table", "_has_instigators_table", "has_built_index"):
        _replace(SqlScheduleStorage, name, _remembering)


def import_orm() -> None:
    """Import SQLAlchemy's ORM, which MLflow needs, before threads begin to ask Dagster's databases.

    While one thread imports it, statements of others fail: it looks at their operands before it is
    complete.
    """
    import sqlalchemy.orm  # noqa: F401


def _replace(owner: Any, name: str, change: Callable[..., Callable[..., Any]]) -> None:
    function = getattr(owner, name)
    if function.__module__ != __name__:
        setattr(owner, name, change(function))


def _sharing(create: Callable[..., Any]) -> Callable[..., Any]:
    """Let calls with the same arguments return the same engine, which keeps no connection."""
    engines: dict[str, Any] = {}
    first: Any = None

    def create_engine(url: str, **settings: Any) -> Any:
        nonlocal first
        asked = f"{url} {settings}"
        if (engine := engines.get(asked)) is None:
            if len(engines) >= _FILES:
                engines.clear()
            engine = engines[asked] = create(url, **settings)
            first = first or engine
            # What one has compiled, all have: the files of runs are asked the same.
            engine.dialect = first.dialect
            engine._compiled_cache = first._compiled_cache
        return engine

    return create_engine


def _remembering(ask: Callable[..., bool]) -> Callable[..., bool]:
    """Let a storage remember what was there: nothing is removed while a process has it open."""

    def is_there(storage: Any, *asked: Any) -> bool:
        found = vars(storage).setdefault("_found", set())
        # One of them is asked with a connection, which says nothing about what is asked for.
        what = (ask.__name__, *(one for one in asked if isinstance(one, str)))
        if what not in found and ask(storage, *asked):
            found.add(what)
        return what in found

    return is_there
