"""Find answers by a column of what was asked, such as a machine: for outcomes, or for a person."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from factory_assets.serving.declared_log import keys_of
from factory_assets.serving.feedback.recorder import time_span
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.outcomes.target_values import class_name
from factory_resources.prediction_log import ids
from factory_resources.prediction_log.logged_rows import answered_rows, logged_rows
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.protection import (
    Protection,
    is_destroyed,
    is_protected,
    month_of,
)
from factory_resources.prediction_log.record import PredictionRecord

Name = tuple[bool, str]
"""Of a value of the key: whether it is a number, and its text."""

Answers = dict[Name, list[tuple[int, bytes]]]
"""The value of the key to when it was answered and the id of the row, in their order."""


@dataclass(frozen=True)
class KeyMatch:
    """The latest answer about a value of the key before a time."""

    id: str | None = None
    """None if there is none, or if it is not clear which row of a request it is."""
    rows: int = 0
    """How many rows of the latest request have the value."""
    has_earlier: bool = False
    """Whether earlier requests have it, too."""


def answers_by_key(
    pipeline: str,
    key: str,
    wanted: Sequence[tuple[Any, Any]],
    protected: Collection[str],
    home: Home,
) -> list[KeyMatch]:
    """Return for each value the latest answer about it before a time.

    The whole log of the pipeline is read. Commitments to values of a declared key are recognised.

    Args:
        key: the name that the column has in the source.
        wanted: value of the key, and when its outcome was observed: a text or time, None for now.
        protected: the columns whose values are hidden in the log.

    Raises:
        DataError: the column is hidden in the log, or not in it.
        DeclarationError: the pipeline's declaration does not load.
        StorageError: the log cannot be read.
    """
    names = [_names(value) for value, _ in wanted]
    found = _found(pipeline, key, names, protected, home)
    return [
        _latest([found[name] for name in several if name in found], observed)
        for several, (_, observed) in zip(names, wanted, strict=True)
    ]


def answers_about(
    pipeline: str, key: str, value: str, protected: Collection[str], home: Home
) -> list[bytes]:
    """Return the ids of all answers about a value of a column, in the order of their times.

    Takes and raises what `answers_by_key` does.
    """
    found = _found(pipeline, key, [_names(value)], protected, home)
    return [
        identifier for _, identifier in sorted(one for several in found.values() for one in several)
    ]


def _found(
    pipeline: str,
    key: str,
    names: Iterable[Sequence[Name]],
    protected: Collection[str],
    home: Home,
) -> Answers:
    keys = keys_of(pipeline)
    declared = {one.source_name: one.column for one in keys}.get(key)
    if key in protected and declared is None:
        raise DataError(
            f"values of {key!r} are hidden in the log, because the contract calls it sensitive",
            where=f"answers of {pipeline}",
            remedy="name the answers by their ids, or by a key of deploy.log.keys",
        )
    every = {name for several in names for name in several}
    is_hidden = key in protected or bool(declared and declared.sensitive)
    logged = _LoggedNames(home, pipeline, every, is_hidden=is_hidden)
    later = "send it with the rows"
    if declared is None:
        later = f"for answers from now on, declare deploy: {{log: {{keys: [{key}]}}}}"
        # Its name in the contract, by which it is declared as a key, is not that of the log.
        called = [one.source_name for one in keys if one.column.name == key]
        later = f"in the source, {key!r} is called {called[0]!r}" if called else later
    return _answers(pipeline, key, logged, home, later)


def _latest(found: Iterable[Sequence[tuple[int, bytes]]], observed: Any) -> KeyMatch:
    span = None if observed is None else time_span(observed)
    before: list[tuple[int, bytes]] = []
    for answers in found:
        # What is no time is found to be none when it is recorded.
        place = len(answers) if span is None else bisect_right(answers, (span[1] + 1, b""))
        before += answers[:place]
    if not before:
        return KeyMatch()
    latest = max(before)[1]
    request, _ = ids.request_of(latest)
    rows = sum(ids.request_of(one)[0] == request for _, one in before)
    return KeyMatch(ids.text(latest) if rows == 1 else None, rows, len(before) > rows)


def _names(value: Any) -> list[Name]:
    """Return what a value of a table is called in the log; a text may be a number there.

    Files of text write numbers in several ways, as 122.20 or 007.
    """
    plain = value if value is None or isinstance(value, bool | int | float | str) else str(value)
    if (text := class_name(plain)) is None:
        return []
    number = class_name(_number(plain)) if isinstance(plain, str) else text
    return [(False, text), *([] if number is None else [(True, number)])]


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return None


class _LoggedNames:
    """Names those values of the key in the log that are wanted, also protected ones.

    Args:
        is_hidden: whether the values are protected.
    """

    def __init__(
        self, home: Home, pipeline: str, wanted: Collection[Name], *, is_hidden: bool
    ) -> None:
        self._home, self._pipeline, self._is_hidden = home, pipeline, is_hidden
        self._protection = Protection(home, pipeline, "encrypted")
        self._wanted = frozenset(wanted)
        self._by_month: dict[str, dict[str, Any]] = {}

    def of(self, cell: Any, record: PredictionRecord) -> Name | None:
        """Return the name of a cell of a request; None if not wanted, or if nobody can tell."""
        value = self._shown(cell, record) if self._is_hidden and is_protected(cell) else cell
        name = not isinstance(value, str), class_name(value) or ""
        return name if value is not None and name in self._wanted else None

    def _shown(self, cell: Mapping[str, str], record: PredictionRecord) -> Any:
        if "encrypted" in cell:
            return self._protection.read(cell, record.time)
        # Commitments of a pack are made by a key of its own, which the home does not have.
        if record.protocol == "edge" or is_destroyed(self._home, self._pipeline, record.time):
            return None
        month = month_of(record.time)
        if month not in self._by_month:
            values = (value for name in self._wanted for value in _values(name))
            self._by_month[month] = self._protection.commitments(values, record.time)
        return self._by_month[month].get(cell["commitment"])


def _values(name: Name) -> Iterator[Any]:
    """Yield the values of JSON that have a name."""
    is_number, text = name
    if not is_number:
        yield text
    elif text in {"true", "false"}:
        yield text == "true"
    else:
        yield _number(text)
        with suppress(ValueError, OverflowError):
            yield float(text)


def _answers(pipeline: str, key: str, logged: _LoggedNames, home: Home, remedy: str) -> Answers:
    found: Answers = {}
    columns, is_known, seen = set[str](), False, set[bytes]()
    with PredictionLog(home) as log:
        for request, record in log.every(pipeline, bytes(ids.ID_BYTES)):
            if record.kind != "answer" or request in seen:
                continue
            seen.add(request)
            answered = answered_rows(record)
            for row, cells in enumerate(logged_rows(record)):
                columns.update(cells)
                is_known = is_known or key in cells
                name = logged.of(cells.get(key), record) if row in answered else None
                if name is not None:
                    answer = (ids.time_of(request), ids.row_id(request, row))
                    found.setdefault(name, []).append(answer)
    if not is_known and columns:
        raise DataError(
            f"no logged row has the column {key!r}",
            where=f"answers of {pipeline}",
            remedy=f"name one of {', '.join(sorted(columns))}, which are logged; {remedy}",
        )
    return {name: sorted(answers) for name, answers in found.items()}
