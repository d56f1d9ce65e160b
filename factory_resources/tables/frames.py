"""Data frames of other libraries as Arrow tables."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from factory_resources.errors import SourceError

if TYPE_CHECKING:
    import pyarrow

REMEDY = "a pandas or polars DataFrame or a pyarrow Table with one type per column"
"""What may be given, as the end of a remedy."""


def to_arrow(value: object) -> "pyarrow.Table":
    """Convert an Arrow table, a pandas frame or a polars frame to an Arrow table.

    An index of pandas that has a name, such as the key of a group, becomes a column.

    Raises:
        TypeError: `value` is anything else, or a column has mixed types or numbers that are too
            large; says what was given.
    """
    import pyarrow

    if isinstance(value, pyarrow.Table):
        return value
    kind = type(value)
    try:
        if kind.__module__.startswith("pandas") and kind.__name__ == "DataFrame":
            return pyarrow.Table.from_pandas(_with_named_index(value), preserve_index=False)
        if kind.__module__.startswith("polars") and kind.__name__ == "DataFrame":
            return value.to_arrow()  # type: ignore[attr-defined]
    except (pyarrow.ArrowException, ValueError, TypeError) as error:
        raise TypeError(f"a frame with a column of mixed types ({error})") from error
    except OverflowError as error:
        raise TypeError("a frame with whole numbers beyond 64 bits") from error
    raise TypeError(f"{kind.__name__}, which is not a table")


def _with_named_index(frame: Any) -> Any:
    names = [name for name in frame.index.names if name is not None and name not in frame.columns]
    return frame.reset_index(level=names) if names else frame


def require_units(
    schema: "pyarrow.Schema", where: str, read: Collection[str] | None = None
) -> None:
    """Require that no column would become a number whose unit nobody knows.

    Args:
        schema: the columns with their types.
        where: what has them, for the message.
        read: the columns that are read; None for all.

    Raises:
        SourceError: a column holds durations or periods.
    """
    for name, (kind, call) in without_units(schema).items():
        if read is None or name in read:
            raise SourceError(
                f"column {name!r} holds {kind}, which a table would store as bare numbers",
                where=where,
                remedy=f"convert them, as by {call}",
            )


def without_units(schema: "pyarrow.Schema") -> dict[str, tuple[str, str]]:
    """Return the columns that would become bare numbers: what they hold, and what converts them.

    pandas measures a duration in nanoseconds or microseconds as it comes, and counts the periods of
    a calendar.
    """
    import pyarrow

    found = {}
    for field in schema:
        extension = (
            getattr(field.type, "extension_name", "")
            or (field.metadata or {}).get(b"ARROW:extension:name", b"").decode()
        )
        if pyarrow.types.is_duration(field.type):
            kind, call = "durations", "dt.total_seconds()"
        elif extension == "pandas.period":
            kind, call = "periods", "dt.to_timestamp()"
        else:
            continue
        found[field.name] = kind, f"frame[{field.name!r}].{call}"
    return found
