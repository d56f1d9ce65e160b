"""Words that a home has of itself: a value that is one of them names nobody.

To blot them out of records and databases would make these unreadable.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from factory_assets.erasure.table_rows import StoredTableFile
from factory_assets.results.stages import RESULT_TYPES
from factory_assets.spec import PipelineSpec
from factory_resources.tracking.record import Record

_OF_LIBRARIES = (
    "active asset_check canceled canceling champion deleted failed failure finished killed managed",
    "not_started queued running scheduled skipped started starting success succeeded",
)
"""States and kinds in the databases of Dagster and MLflow."""


def common_words(files: Iterable[StoredTableFile]) -> frozenset[str]:
    """Return them, with case folded: names of pipelines, tables and columns; words of
    declarations, results and records; states of runs and versions."""
    words = {*" ".join(_OF_LIBRARIES).split(), *_words_of(PipelineSpec), *_words_of(Record)}
    for kind in RESULT_TYPES.values():
        words |= {*_words_of(kind)}
    for file in files:
        words |= {*file.table.split("/"), *file.columns}
    return frozenset(word.casefold() for word in words)


def _words_of(model: Any) -> Iterator[str]:
    """Yield the names and the fixed values in the JSON Schema of a model."""
    waiting: list[Any] = [model.model_json_schema()]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            for name in ("properties", "$defs"):
                yield from one.get(name, {})
            fixed = [*one.get("enum", ()), one.get("const")]
            yield from (value for value in fixed if isinstance(value, str))
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
