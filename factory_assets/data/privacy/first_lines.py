"""Names of columns that may be values: of a file that arrives without its first line.

A message may name the columns of a file only if some of them are declared, or nothing is sensitive.
"""

from collections.abc import Collection, Sequence

from factory_resources.sql.expressions import suggestion


def suggest_column(
    name: str, found: Sequence[str], declared: Collection[str], hidden: Collection[str]
) -> str:
    """Return what to do about a column that a file lacks.

    Args:
        name: the column.
        found: what the file seems to call its columns.
        declared: the columns that it should have.
        hidden: the sensitive ones of the pipeline.
    """
    expected = {other.casefold() for other in (*declared, *hidden)}
    if hidden and expected.isdisjoint(other.casefold() for other in found):
        delimiter = "separate its columns by source.delimiter, or, " * (len(found) == 1)
        return (
            f"it has none of the declared columns; {delimiter}if its first line has values in "
            "place of names, add the names, or set source.header: false"
        )
    return suggestion(name, found)
