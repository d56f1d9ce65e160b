"""Require that texts which order rows come in the order that their letters have.

Of dates such as 31.01.2024 and numbers such as `cycle 10` the letters say another order than
their reader means. What orders rows is declared in `spec`.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.spec import Pipeline, SequenceNetwork
from factory_resources.errors import DataError
from factory_resources.sql.engine import identifier, literal

if TYPE_CHECKING:
    import duckdb

_DUPLICATES = "clean.deduplicate.order"

_FRACTION = r"(:\d{2})[.,]\d+"
"""Parts of a second; letters order them whatever their length is."""

_DAY_OR_MONTH_FIRST = r"^(\d{1,2}[./ -](\d{1,2}|\pL{3,9}\.?)|\pL{3,9}\.? \d{1,2},?)[./ -]\d{4}\b"
"""How a date begins that has its year last."""


def require_sortable_texts(
    connection: "duckdb.DuckDBPyConnection",
    pipeline: Pipeline,
    types: Mapping[str, str],
    where: str,
) -> None:
    """Check the texts of `source` that order its rows.

    Args:
        types: the type of each column of `source`.

    Raises:
        DataError: they are dates with the year last, or have numbers of several lengths.
    """
    hidden = sensitive_columns(pipeline)
    for place, column in _ordering(pipeline):
        # Duplicates are dropped before columns are derived.
        typed = "give it the type date or timestamp in ingest.contract, or order by another column"
        early = typed if place == _DUPLICATES else ""
        if types.get(column) != "VARCHAR":
            continue
        name = identifier(column)
        row = connection.execute(
            f"SELECT any_value({name}) FROM source "
            f"WHERE regexp_matches({name}, {literal(_DAY_OR_MONTH_FIRST)})"
        ).fetchone()
        if row and row[0] is not None:
            such_as = "" if column in hidden else f" such as {row[0]!r}"
            raise DataError(
                f"{place}: {column!r} is text{such_as}, whose letters do not come in the order of "
                "time",
                where=where,
                remedy=early
                or "make a date of it in clean.derive, such as "
                f"`moment: strptime({name}, '%d.%m.%Y')`, and name that",
            )
        whole = rf"regexp_replace({name}, {literal(_FRACTION)}, '\1')"
        row = connection.execute(
            f"SELECT arg_min({name}, length({whole})), arg_max({name}, length({whole})) "
            rf"FROM source GROUP BY regexp_replace({whole}, '\d+', '0', 'g') "
            f"HAVING min(length({whole})) < max(length({whole})) LIMIT 1"
        ).fetchone()
        if row:
            such_as = "" if column in hidden else f", such as those of {row[0]!r} and {row[1]!r}"
            raise DataError(
                f"{place}: {column!r} is text, and its letters do not come in the order of its "
                f"numbers{such_as}",
                where=where,
                remedy=early
                or "make a number of it in clean.derive, such as "
                rf"`step: CAST(regexp_extract({name}, '\d+') AS BIGINT)`, and name that",
            )


def _ordering(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Yield the key and the column of all that orders rows."""
    spec = pipeline.spec
    if (same := spec.clean.deduplication) and same.order:
        yield _DUPLICATES, same.order
    if spec.clean.windows:
        yield "clean.windows.order", spec.clean.windows.order
    if spec.split.time:
        yield "split.time", spec.split.time
    if isinstance(spec.training.model, SequenceNetwork):
        yield "train.model.order", spec.training.model.order
    if spec.evaluate.last:
        yield "evaluate.last.order", spec.evaluate.last.order
