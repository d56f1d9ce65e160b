"""Deaths of a prediction server at a named step, for the process in which it runs, and versions
that fail or are slow there."""

import os
import time
from collections.abc import Callable
from functools import partialmethod
from typing import Any, Literal

from factory_assets.serving.online.served_model import ServedModel
from factory_resources.prediction_log.journal import Journal

Step = Literal[
    "before the write", "half of the write", "the write", "before it is durable", "durable"
]


def die_at(step: Step, calls: int) -> None:
    """End this process, without any cleaning up, at this step of so many writes."""
    done = 0

    def is_last() -> bool:
        nonlocal done
        done += 1
        return done == calls

    match step:
        case "before the write":
            flush = Journal.flush
            Journal.flush = _wrapped(flush, is_last, before=True)  # type: ignore[method-assign]
        case "half of the write":
            pwrite = os.pwrite

            def write(handle: int, content: bytes, start: int) -> int:
                if is_last():
                    pwrite(handle, content[: len(content) // 2], start)
                    os._exit(9)
                return pwrite(handle, content, start)

            os.pwrite = write
        case "the write":
            os.pwrite = _wrapped(os.pwrite, is_last, before=False)
        case "before it is durable" | "durable":
            before = step != "durable"
            os.fdatasync = _wrapped(os.fdatasync, is_last, before=before)


def _wrapped(function: Callable[..., Any], is_last: Callable[[], bool], *, before: bool) -> Any:
    def dying(*arguments: Any) -> Any:
        last = is_last()
        if last and before:
            os._exit(9)
        result = function(*arguments)
        if last:
            os._exit(9)
        return result

    return dying


def fail_by(version: int, every: int) -> None:
    """Let a version fail for every so-manieth request of this process."""
    asked = 0

    def dying(model: ServedModel, *arguments: Any) -> None:
        nonlocal asked
        asked += 1
        if asked % every == 0:
            raise RuntimeError("a fault of this version")

    _before_scoring(version, dying)


def slow_down(version: int, seconds: float) -> None:
    """Let a version take longer for each request of this process."""
    _before_scoring(version, lambda *_: time.sleep(seconds))


def _before_scoring(version: int, act: Callable[..., None]) -> None:
    for name in ("score_feed", "score"):

        def scored(model: ServedModel, *arguments: Any, original: Any = None) -> Any:
            if model.version == version:
                act(model)
            return original(model, *arguments)

        method = partialmethod(scored, original=getattr(ServedModel, name))
        setattr(ServedModel, name, method)
