"""Find the answers that outcomes belong to by a column of what was asked, such as a machine."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any

from factory_assets.serving.feedback.recorder import time_span
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.outcomes.target_values import class_name
from factory_resources.prediction_log import ids
from factory_resources.prediction_log.logged_rows import answered_rows, logged_rows
from factory_resources.prediction_log.prediction_log import PredictionLog

Name = tuple[bool, str]
"""Of a value of the key: whether it is a number, and its text."""

Answers = dict[Name, list[tuple[int, bytes]]]
"""The value of the key to when it was answered and the id of the row, in their order."""


def answers_by_key(
    pipeline: str,
    key: str,
    wanted: Sequence[tuple[Any, Any]],
    protected: Collection[str],
    home: Home,
) -> list[str | None]:
    """Return for each value the id of the latest answer about it before a time; None if none.

    The whole log of the pipeline is read.

    Args:
        key: the name that the column has in the source.
        wanted: value of the key, and when its outcome was observed: a text or time, None for now.
        protected: the columns whose values are hidden in the log.

    Raises:
        DataError: the column is hidden in the log, or not in it.
        StorageError: the log cannot be read.
    """
    if key in protected:
        raise DataError(
            f"values of {key!r} are hidden in the log, because the contract calls it sensitive",
            where=f"outcomes of {pipeline}",
            remedy="name the answers by their ids, or by another column",
        )
    names = [_names(value) for value, _ in wanted]
    found = _answers(pipeline, key, {name for several in names for name in several}, home)
    return [
        _latest([found[name] for name in several if name in found], observed)
        for several, (_, observed) in zip(names, wanted, strict=True)
    ]


def _latest(found: Iterable[Sequence[tuple[int, bytes]]], observed: Any) -> str | None:
    span = None if observed is None else time_span(observed)
    latest: list[tuple[int, bytes]] = []
    for answers in found:
        # What is no time is found to be none when it is recorded.
        place = len(answers) if span is None else bisect_right(answers, (span[1] + 1, b""))
        latest += answers[place - 1 : place] if place else []
    return ids.text(max(latest)[1]) if latest else None


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


def _answers(pipeline: str, key: str, wanted: Collection[Name], home: Home) -> Answers:
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
                value = cells.get(key)
                name = not isinstance(value, str), class_name(value) or ""
                if row in answered and value is not None and name in wanted:
                    answer = (ids.time_of(request), ids.row_id(request, row))
                    found.setdefault(name, []).append(answer)
    if not is_known and columns:
        raise DataError(
            f"no logged row has the column {key!r}",
            where=f"outcomes of {pipeline}",
            remedy=f"name one of {', '.join(sorted(columns))}",
        )
    return {name: sorted(answers) for name, answers in found.items()}
