"""Dagster's partitions equal those of the declaration: the same periods, the same keys."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from factory_assets.components.partitions import partitions_def
from factory_assets.spec import Pipeline, PipelineSpec, partition_of
from factory_assets.spec.calendar import FORMATS, Period
from factory_assets.spec.partitions import partitions_until

_ZONES = (
    *("UTC", "Europe/Berlin", "Europe/Dublin", "America/New_York", "Asia/Kolkata"),
    # Clocks that change at midnight, or back to it; and unusual daylight saving rules.
    *("America/Sao_Paulo", "America/Havana", "Africa/Cairo", "Africa/Casablanca"),
)


def _pipeline(**partitions: dict[str, Any]) -> Pipeline:
    places = "-".join(f"{{{name}}}" for name in partitions)
    ingest = {"source": {"files": f"{places}.csv"}, "contract": [{"name": "x", "type": "int64"}]}
    attributes = {"purpose": "test", "partitions": partitions, "ingest": ingest}
    return Pipeline("p", PipelineSpec.model_validate(attributes), Path())


@given(
    every=st.sampled_from([*FORMATS]),
    zone=st.sampled_from(_ZONES),
    start=st.datetimes(datetime(2015, 1, 1), datetime(2024, 12, 1)),
    days=st.integers(0, 100),
    now_minutes=st.integers(0, 100 * 24 * 60),
    left_out=st.sets(st.integers(0, 200), max_size=4),
)
# A day that begins at one o'clock: there is no midnight, and Dagster writes it all the same.
@example("day", "America/Havana", datetime(2015, 3, 7), 3, 5 * 24 * 60, {1})
# The hour that the clock shows twice, each time.
@example("hour", "Europe/Berlin", datetime(2024, 10, 27), 0, 24 * 60, {2})
@example("hour", "Europe/Berlin", datetime(2024, 10, 27), 0, 24 * 60, {3})
def test_periods_equal_those_of_dagster(
    every: Period, zone: str, start: datetime, days: int, now_minutes: int, left_out: set[int]
) -> None:
    start = start.replace(second=0, microsecond=0)
    end = start + timedelta(days=days) if days else None
    now = start.replace(tzinfo=UTC) + timedelta(minutes=now_minutes)
    ends = {"end": end.isoformat()} if end else {}
    declared = {"every": every, "start": start.isoformat(), "timezone": zone, **ends}
    try:
        pipeline = _pipeline(time=declared)
    except ValidationError as error:
        assume("no whole" not in str(error))
        raise
    every_key = [one.key for one in partitions_until(pipeline.spec.partitions, now, {})]
    exclude = [key for number, key in enumerate(every_key) if number in left_out]
    pipeline = _pipeline(time={**declared, "exclude": exclude})
    theirs = partitions_def(pipeline)
    assert isinstance(theirs, dg.TimeWindowPartitionsDefinition)
    dimensions = pipeline.spec.partitions
    ours = list(partitions_until(dimensions, now, {}))
    assert [one.key for one in ours] == [key for key in every_key if key not in exclude]
    assert not any(partition_of(dimensions, key) for key in exclude)
    assert [partition.key for partition in ours] == list(theirs.get_partition_keys(now))
    for partition in ours[:3] + ours[-3:]:
        window = theirs.time_window_for_partition_key(partition.key)
        # Compare instants: at a change of clocks, one instant can be written in two ways.
        assert partition.begins["time"].astimezone(UTC) == window.start.astimezone(UTC)
        assert partition.ends["time"].astimezone(UTC) == window.end.astimezone(UTC)
        assert partition_of(dimensions, partition.key) == partition
