"""Find the answers that outcomes belong to by a column of what was asked, such as a machine."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from typing import Any

from factory_assets.serving.feedback.recorder import microseconds
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.outcomes.target_values import class_name
from factory_resources.prediction_log import ids
from factory_resources.prediction_log.logged_rows import answered_rows, logged_rows
from factory_resources.prediction_log.prediction_log import PredictionLog

Answers = dict[str, list[tuple[int, bytes]]]
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
    texts = [class_name(_plain(value)) for value, _ in wanted]
    found = _answers(pipeline, key, {text for text in texts if text is not None}, home)
    return [
        _latest(found.get(text or "", []), observed)
        for text, (_, observed) in zip(texts, wanted, strict=True)
    ]


def _latest(answers: Sequence[tuple[int, bytes]], observed: Any) -> str | None:
    moment = None if observed is None else microseconds(observed)
    # What is no time is found to be none when it is recorded.
    place = len(answers) if moment is None else bisect_right(answers, (moment + 1, b""))
    return ids.text(answers[place - 1][1]) if place else None


def _answers(pipeline: str, key: str, wanted: Collection[str], home: Home) -> Answers:
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
                text = class_name(cells.get(key))
                if row in answered and text is not None and text in wanted:
                    answer = (ids.time_of(request), ids.row_id(request, row))
                    found.setdefault(text, []).append(answer)
    if not is_known and columns:
        raise DataError(
            f"no logged row has the column {key!r}",
            where=f"outcomes of {pipeline}",
            remedy=f"name one of {', '.join(sorted(columns))}",
        )
    return {text: sorted(answers) for text, answers in found.items()}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
