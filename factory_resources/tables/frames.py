"""Data frames of other libraries as Arrow tables."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

REMEDY = "a pandas or polars DataFrame or a pyarrow Table with one type per column"
"""What may be given, as the end of a remedy."""


def to_arrow(value: object) -> "pyarrow.Table":
    """Convert an Arrow table, a pandas frame or a polars frame to an Arrow table.

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
            return pyarrow.Table.from_pandas(value, preserve_index=False)
        if kind.__module__.startswith("polars") and kind.__name__ == "DataFrame":
            return value.to_arrow()  # type: ignore[attr-defined]
    except (pyarrow.ArrowException, ValueError, TypeError) as error:
        raise TypeError(f"a frame with a column of mixed types ({error})") from error
    except OverflowError as error:
        raise TypeError("a frame with whole numbers beyond 64 bits") from error
    raise TypeError(f"{kind.__name__}, which is not a table")
