"""Dates and timestamps as inputs: their parts are those of the calendar, in the graph as well."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_assets.ml.artifacts.onnx_export import _preprocessing
from factory_assets.ml.features.features import Features, fit_features
from factory_assets.ml.features.series import Series
from factory_assets.ml.features.times import TimeValue, possible_values, read_times
from factory_assets.spec import Pipeline, PipelineSpec
from factory_resources.errors import DataError
from tests.factory_assets.ml.models.cases import pipeline
from tests.random_examples import examples

START = datetime(2024, 1, 1)


def visits(count: int, **columns: Any) -> pa.Table:
    """Return visits every 31 hours of people born 1930 to 1990, and when each was planned."""
    chance = np.random.default_rng(1)
    at = [START + timedelta(hours=31 * i) for i in range(count)]
    planned = [one.date() - timedelta(days=int(chance.integers(0, 60))) for one in at]
    born = [date(1930, 1, 1) + timedelta(days=int(chance.integers(0, 21_900))) for _ in at]
    gaps = chance.random(count) < 0.1
    return pa.table(
        {
            "_file": ["f"] * count,
            "_row": np.arange(count),
            "at": at,
            "planned": pa.array([None if gap else p for p, gap in zip(planned, gaps, strict=True)]),
            "born": born,
            "x": chance.normal(size=count),
            "y": chance.integers(0, 2, count),
            **columns,
        }
    )


def fitted(table: pa.Table, **spec: Any) -> Features:
    declared = pipeline(Path(), {"kind": "linear"})
    written = declared.spec.model_dump(mode="json", by_alias=True, exclude_unset=True) | spec
    return fit_features(
        Pipeline("p", PipelineSpec.model_validate(written), Path()), table, vocabulary=50
    )


def names(features: Features) -> list[str]:
    return [number.name for number in features.times]


@given(
    st.lists(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)), min_size=1),
    st.data(),
)
@settings(max_examples=examples(40), deadline=None)
def test_parts_and_distances_are_those_of_the_calendar(
    times: list[datetime], data: st.DataObject
) -> None:
    others = data.draw(st.lists(st.dates(), min_size=len(times), max_size=len(times)))
    table = pa.table({"a": pa.array(times, pa.timestamp("us")), "b": others})
    seconds = {name: read_times(table, name) for name in ("a", "b")}
    parts = {
        "year": [one.year for one in times],
        "month": [one.month for one in times],
        "weekday": [one.isoweekday() for one in times],
        "hour": [one.hour for one in times],
        "days": [(one - datetime(1970, 1, 1)).days for one in times],
    }
    for part, expected in parts.items():
        assert TimeValue("a", part, None).of(seconds).tolist() == expected
    apart = [
        (one.replace(microsecond=0) - datetime(other.year, other.month, other.day))
        / timedelta(days=1)
        for one, other in zip(times, others, strict=True)
    ]
    np.testing.assert_allclose(TimeValue("a", None, "b").of(seconds), apart, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scaled", [False, True])
def test_the_graph_computes_the_same_numbers(scaled: bool) -> None:
    declared = pipeline(Path(), {"kind": "linear"}).spec.training.model_dump(exclude_unset=True)
    features = fitted(visits(300), train={**declared, "trend": ["at", "planned"]})
    odd = [None, datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999), datetime.max]
    odd += [datetime(1900, 2, 28), datetime(2000, 2, 29, 23, 59, 59), datetime(1969, 12, 31, 1)]
    probe = visits(100)
    at = pa.array([*odd, *probe["at"].to_pylist()[len(odd) :]], pa.timestamp("us"))
    probe = probe.set_column(probe.column_names.index("at"), "at", at)
    session = onnxruntime.InferenceSession(
        _preprocessing(features, scaled=scaled).SerializeToString()
    )
    feed = {"in_0": probe["x"].to_numpy().astype(np.float32)[:, None]}
    for i, name in enumerate(features.time_columns, 1):
        feed[f"in_{i}"] = read_times(probe, name)[:, None]
    [numbers] = session.run(["numbers"], feed)
    np.testing.assert_array_equal(numbers, features.arrays(probe, scaled=scaled).numbers)
    # Who calls the graph itself may give it what no column has.
    times = [name for name in feed if name != "in_0"]
    beyond, missing = (
        session.run(["numbers"], feed | {name: np.full((100, 1), value) for name in times})[0]
        for value in (np.inf, np.nan)
    )
    parts = [i for i, one in enumerate(features.times, 1) if one.part]
    np.testing.assert_array_equal(beyond[:, parts], missing[:, parts])


def test_what_varies_is_read_and_a_missing_time_is_an_input() -> None:
    features = fitted(visits(300))
    assert names(features) == [
        "at year",
        "at month",
        "at weekday",
        "at hour",
        "planned year",
        "planned month",
        "planned weekday",
        "born year",
        "planned since at",
        "born since at",
        "born since planned",
    ]
    assert [one.name for one in features.times if one.indicator] == ["planned year"]
    assert features.columns == ("x", "at", "planned", "born")
    # x, eleven numbers of times, and whether `planned` was missing.
    assert features.width == 13
    assert Features.model_validate_json(features.model_dump_json()) == features
    short = visits(4)
    assert "at month" not in names(fitted(short))


def test_a_time_that_stands_for_none_hides_no_month() -> None:
    table = visits(300)
    at = pa.array([datetime(1900, 1, 1), *table["at"].to_pylist()[1:]], pa.timestamp("us"))
    changed = table.set_column(table.column_names.index("at"), "at", at)
    assert names(fitted(changed)) == names(fitted(table))


def test_the_distances_of_the_first_columns_alone_are_read() -> None:
    seconds = {name: np.arange(3.0) for name in "abcde"}
    values = possible_values(seconds, (), years=False, trend=())
    since = [value.name for value in values if value.since]
    assert since == ["b since a", "c since a", "d since a", "c since b", "d since b", "d since c"]


def test_years_are_not_read_if_test_rows_are_later() -> None:
    assert not {"at year", "planned year"} & {*names(fitted(visits(300), split={"time": "at"}))}
    assert "born year" in names(fitted(visits(300), split={"time": "at"}))


def test_days_are_read_of_a_declared_trend() -> None:
    train = {"target": "y", "model": {"kind": "linear"}}
    split = {"time": "at"}
    plain = names(fitted(visits(300), train=train, split=split))
    found = names(fitted(visits(300), train={**train, "trend": ["at", "born"]}, split=split))
    # Dates of birth have years.
    assert found == ["at days", *plain]
    with pytest.raises(DataError, match="'x' is no date or timestamp among the inputs"):
        fitted(visits(300), train={**train, "trend": ["x"]})


def test_a_time_that_never_varies_is_left_out() -> None:
    table = visits(50, planned=pa.array([date(2024, 1, 1)] * 50))
    features = fitted(table.drop_columns(["at", "born"]))
    assert (features.times, features.constant) == ((), ("planned",))


def test_the_order_of_windows_and_of_series_is_not_read() -> None:
    windows = {"by": "unit", "order": "at", "size": 3, "columns": ["x"], "statistics": ["mean"]}
    table = visits(50, unit=["u"] * 50).drop_columns(["planned", "born"])
    assert fitted(table, clean={"windows": windows}).ignored == ("at",)
    declared = pipeline(Path(), {"kind": "gru", "by": "unit", "order": "cycle"})
    series = Series(by="unit", order="cycle", window=3)
    table = visits(50, unit=["u"] * 50, cycle=range(50))
    features = fit_features(declared, table, vocabulary=50, series=series)
    assert features.ignored == ("at", "planned", "born")


def test_an_instant_is_read_by_the_clock_of_its_zone() -> None:
    instant = pa.array([datetime(2024, 7, 1, 22, 30, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    berlin = instant.cast(pa.timestamp("us", "Europe/Berlin"))
    seconds = {"at": read_times(pa.table({"at": berlin}), "at")}
    local = datetime(2024, 7, 1, 22, 30, tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin"))
    read = [TimeValue("at", "hour").of(seconds)[0], TimeValue("at", "weekday").of(seconds)[0]]
    assert read == [local.hour, local.isoweekday()]


def test_the_last_moment_of_a_year_is_of_that_year() -> None:
    last = read_times(pa.table({"at": pa.array([datetime.max], pa.timestamp("us"))}), "at")
    assert TimeValue("at", "year").of({"at": last}).tolist() == [9999]


def test_what_is_no_time_is_refused() -> None:
    features = fitted(visits(50))
    table = visits(50)
    wrong = table.set_column(table.column_names.index("born"), "born", pa.array([True] * 50))
    with pytest.raises(DataError, match="'born' holds bool, not times"):
        features.arrays(wrong, scaled=True)
