"""Require that texts which order rows come in the order that their letters have.

Of dates such as 31.01.2024 and numbers such as `cycle 10` the letters say another order than
their reader means. What orders rows is declared in `spec`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.spec import Pipeline, SequenceNetwork
from factory_resources.errors import DataError
from factory_resources.sql.engine import identifier, literal

if TYPE_CHECKING:
    import duckdb

_DUPLICATES = "clean.deduplicate.order"

_BEFORE = (
    "order by another column, such as one that a pipeline without `train` derives for this one to "
    "read (ingest.source.pipeline)"
)
"""Duplicates are dropped before columns are derived."""

_FRACTION = r"(:\d{2})[.,]\d+"
"""Parts of a second; letters order them whatever their length is."""

_MONTH = (
    "(jan(uary?)?|feb(ruary?)?|m(ar|är|rz|arch|ärz)|apr(il)?|ma[iy]|jun[ei]?|jul[iy]?|aug(ust)?|"
    "sept?(ember)?|o[ck]t(ober)?|nov(ember)?|de[cz](ember)?)"
)

_UNSORTED = (
    r"^(\d{1,2}[./ -](\d{1,2}|\pL{3,9}\.?)|\pL{3,9}\.? \d{1,2},?)[./ -]\d{4}\b|"
    r"^\d{1,2}[./]\d{1,2}[./]\d{2}\b|"
    rf"(?i)^(\d[\d./ -]*{_MONTH}\b|{_MONTH}[./ '-]*\d)"
)
"""How a date begins that has its year last, or the name of a month: by the letters, April comes
before January."""


@dataclass(frozen=True)
class OrderingText:
    """A column that orders rows."""

    place: str
    """The key of the declaration."""
    column: str
    is_hidden: bool
    """Whether its values must not be shown."""


def require_sortable_texts(
    connection: "duckdb.DuckDBPyConnection",
    ordering: Iterable[OrderingText],
    types: Mapping[str, str],
    where: str,
    rows: str = "FROM source",
) -> None:
    """Check the texts that order rows.

    Args:
        types: the type of each column of `rows`.
        rows: a query.

    Raises:
        DataError: they are dates with the year last, or have numbers of several lengths.
    """
    for one in ordering:
        if types.get(one.column) == "VARCHAR":
            _require_sortable(connection, one, where, rows)


def _require_sortable(
    connection: "duckdb.DuckDBPyConnection", one: OrderingText, where: str, rows: str
) -> None:
    early = one.place == _DUPLICATES
    name = identifier(one.column)
    row = connection.execute(
        f"SELECT any_value({name}) FROM ({rows}) WHERE regexp_matches({name}, {literal(_UNSORTED)})"
    ).fetchone()
    if row and row[0] is not None:
        such_as = "" if one.is_hidden else f" such as {row[0]!r}"
        raise DataError(
            f"{one.place}: {one.column!r} is text{such_as}, whose letters do not come in the order "
            "of time",
            where=where,
            remedy=_BEFORE
            if early
            else "make a date of it in clean.derive, such as "
            f"`moment: strptime({name}, '%d.%m.%Y')`, and name that",
        )
    whole = rf"regexp_replace({name}, {literal(_FRACTION)}, '\1')"
    row = connection.execute(
        f"SELECT arg_min({name}, length({whole})), arg_max({name}, length({whole})) "
        rf"FROM ({rows}) GROUP BY regexp_replace({whole}, '\d+', '0', 'g') "
        f"HAVING min(length({whole})) < max(length({whole})) LIMIT 1"
    ).fetchone()
    if row:
        such_as = "" if one.is_hidden else f", such as those of {row[0]!r} and {row[1]!r}"
        raise DataError(
            f"{one.place}: {one.column!r} is text, and its letters do not come in the order of its "
            f"numbers{such_as}",
            where=where,
            remedy="if it is a date such as 2024-1-31, declare its type in ingest.contract; else "
            + _BEFORE
            if early
            else "make a number of it in clean.derive, such as "
            rf"`step: CAST(regexp_extract({name}, '\d+') AS BIGINT)`, and name that",
        )


def ordering_texts(pipeline: Pipeline) -> list[OrderingText]:
    """Return all that orders rows."""
    return [*ordering_of_cleaning(pipeline), *_listed(pipeline, _ordering_of_training(pipeline))]


def ordering_of_cleaning(pipeline: Pipeline) -> list[OrderingText]:
    """Return what orders rows while they are cleaned: the order decides which rows are kept."""
    return _listed(pipeline, _ordering_of_cleaning(pipeline))


def _listed(pipeline: Pipeline, ordering: Iterable[tuple[str, str]]) -> list[OrderingText]:
    hidden = sensitive_columns(pipeline)
    return [OrderingText(place, column, column in hidden) for place, column in ordering]


def _ordering_of_cleaning(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    clean = pipeline.spec.clean
    if (same := clean.deduplication) and same.order:
        yield _DUPLICATES, same.order
    if clean.windows:
        yield "clean.windows.order", clean.windows.order


def _ordering_of_training(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    spec = pipeline.spec
    if spec.split.time:
        yield "split.time", spec.split.time
    if isinstance(spec.training.model, SequenceNetwork):
        yield "train.model.order", spec.training.model.order
    if spec.evaluate.last:
        yield "evaluate.last.order", spec.evaluate.last.order
