"""Decide the windows over series: the recent level, spread and trend of each sensor."""

from collections.abc import Collection, Mapping, Sequence

from factory_assets.cli.new.column_summary import ColumnSummary
from factory_assets.cli.new.profile import FileProfile
from factory_assets.spec.clean import Size, Windows

_MOST_COLUMNS = 40
"""With more columns, one window of each must do."""

_FEWEST_VALUES = 3


def choose_windows(
    table: FileProfile,
    inputs: Sequence[ColumnSummary],
    names: Mapping[str, str],
    taken: Collection[str],
) -> Windows | None:
    """Return means, deviations and slopes of all numeric inputs; None if there are no series.

    A number that has such a column already gets none.

    Args:
        table: the profile of the data file.
        inputs: the inputs.
        names: the columns' names in the file and in the pipeline.
        taken: the names of all columns of the pipeline, in lower case.
    """
    series = table.series
    columns = [
        c
        for c in inputs
        if series
        and c.type in ("int64", "float64")
        and c.source not in (series.by, series.order)
        and c.distinct >= _FEWEST_VALUES
    ]
    if not series or not columns:
        return None
    windows = Windows(
        by=names[series.by],
        order=names[series.order],
        size=_sizes(series.length, len(columns)),
        columns=tuple(names[c.source] for c in columns),
    )
    free = [n for n in windows.columns if not {a.lower() for a in windows.of(n)} & {*taken}]
    return windows.model_copy(update={"columns": tuple(free)}) if free else None


def _sizes(length: int, columns: int) -> tuple[Size, ...]:
    """Return a short window, a long one and that of all rows so far, as the series allow."""
    short = 10 if length >= 50 else 5
    if columns > _MOST_COLUMNS:
        return (short,)
    return (short, 50, "all") if length >= 100 else (short, "all")
