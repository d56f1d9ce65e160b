"""Partitions have the same periods and keys as Dagster's; ambiguous keys are refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from factory_assets.spec import PipelineSpec
from factory_assets.spec.base import STORED
from factory_assets.spec.calendar import Period
from factory_assets.spec.partitions import (
    Partitions,
    TimePartitions,
    excluding,
    partition_of,
    partitions_until,
    withdrawing,
    wrong_key,
)

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def _dimensions(**declared: dict[str, Any]) -> Partitions:
    return TypeAdapter(Partitions).validate_python(declared)


def _keys(now: datetime = NOW, **declared: dict[str, Any]) -> list[str]:
    return [partition.key for partition in partitions_until(_dimensions(**declared), now, {})]


def test_an_hour_that_the_clock_shows_twice_is_two_partitions() -> None:
    hours = {"every": "hour", "start": "2024-10-27T01:00", "end": "2024-10-27T04:00"}
    berlin = _dimensions(hour={**hours, "timezone": "Europe/Berlin"})
    keys = [partition.key for partition in partitions_until(berlin, NOW, {})]
    assert keys == [
        *("2024-10-27-01:00", "2024-10-27-02:00", "2024-10-27-02:00+0100", "2024-10-27-03:00")
    ]
    first, second = (partition_of(berlin, key) for key in keys[1:3])
    assert first
    assert second
    assert first.ends["hour"] - first.begins["hour"] == timedelta(hours=0)  # by the clock
    assert first.ends["hour"].astimezone(UTC) == second.begins["hour"].astimezone(UTC)


def test_an_hour_that_the_clock_skips_is_no_partition() -> None:
    hours = {"every": "hour", "start": "2024-03-31", "timezone": "Europe/Berlin"}
    assert partition_of(_dimensions(hour=hours), "2024-03-31-02:00") is None


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2024-10-27T02:30", "2024-10-27T06:00"),
        ("2024-10-26T23:00", "2024-10-27T02:00"),
        ("2024-03-30T23:00", "2024-03-31T02:00"),
    ],
)
def test_a_key_is_known_if_and_only_if_it_is_listed_on_days_when_clocks_change(
    start: str, end: str
) -> None:
    def hours(start: str, end: str) -> Partitions:
        zone = {"timezone": "Europe/Berlin"}
        return _dimensions(hour={"every": "hour", "start": start, "end": end, **zone})

    around = partitions_until(hours(start[:10], f"{end[:10]}T12:00"), NOW, {})
    listed = [partition.key for partition in partitions_until(hours(start, end), NOW, {})]
    assert [one.key for one in around if partition_of(hours(start, end), one.key)] == listed


@pytest.mark.parametrize("zone", ["America/New_York", "UTC", "Pacific/Kiritimati"])
def test_the_last_moment_that_can_be_written_is_an_end(zone: str) -> None:
    years = {"every": "month", "start": "2024-11-01", "end": "9999-12-31T23:59", "timezone": zone}
    assert _keys(m=years) == ["2024-11-01", "2024-12-01"][: 1 + (zone != "America/New_York")]
    assert partition_of(_dimensions(m=years), "2024-11-01")


@pytest.mark.parametrize(
    "key",
    [
        *("2024-1-2", "2024-01-02 ", "2024-01-32", "2023-12-31", "20240102", "", "today"),
        *("2024-01-02|x", "2024-01-02T00:00", "2024-01-02+0000", "2024-02-01", "\u0662024-01-02"),
    ],
)
def test_key_of_no_declared_day_is_refused(key: str) -> None:
    days = _dimensions(day={"every": "day", "start": "2024-01-01", "end": "2024-02-01"})
    assert partition_of(days, key) is None
    assert partition_of(days, "2024-01-31")


@pytest.mark.parametrize(("every", "key"), [("week", "2024-01-08"), ("month", "2024-01-02")])
def test_a_key_is_the_beginning_of_its_period(every: Period, key: str) -> None:
    assert partition_of(_dimensions(d={"every": every, "start": "2023-01-01"}), key) is None


def test_two_dimensions_are_ordered_by_name() -> None:
    declared = {"site": {"values": ["b", "a"]}, "day": {"every": "day", "start": "2024-12-30"}}
    assert _keys(**declared) == ["2024-12-30|b", "2024-12-30|a", "2024-12-31|b", "2024-12-31|a"]
    partition = partition_of(_dimensions(**declared), "2024-12-31|a")
    assert partition
    assert dict(partition.keys) == {"day": "2024-12-31", "site": "a"}
    assert partition_of(_dimensions(**declared), "a|2024-12-31") is None


def test_dynamic_partitions_have_the_known_keys() -> None:
    machines = _dimensions(machine={"dynamic": True})
    partitions = partitions_until(machines, NOW, {"machine": ["m1", "m2"]})
    assert [partition.key for partition in partitions] == ["m1", "m2"]
    assert partition_of(machines, "m3")


@given(st.text(max_size=40))
def test_a_key_is_refused_or_returned_unchanged(text: str) -> None:
    if wrong_key(text):
        assert partition_of(_dimensions(machine={"dynamic": True}), text) is None
        with pytest.raises(ValidationError):
            _dimensions(site={"values": [text]})
    else:
        both = _dimensions(a={"dynamic": True}, b={"values": [text]})
        partition = partition_of(both, f"{text}|{text}")
        assert partition
        assert partition.key == f"{text}|{text}"
        # Dagster must accept the key as well.
        dg.MultiPartitionsDefinition(
            {"a": dg.DynamicPartitionsDefinition(name="a"), "b": _static(text)}
        )


def _static(key: str) -> dg.StaticPartitionsDefinition:
    return dg.StaticPartitionsDefinition([key])


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"every": "day", "start": "January"}, "is not a date"),
        ({"every": "day", "start": "2024-01-01T00:00+02:00"}, "has an offset"),
        ({"every": "day", "start": "2024-01-02", "end": "2024-01-02"}, "no whole day lies between"),
        ({"every": "day", "start": "9999-12-31", "end": "9999-12-31"}, "years 1000 to 9998"),
        ({"every": "week", "start": "0001-01-01"}, "start '0001-01-01' does not lie in the years"),
        ({"every": "year", "start": "2024-01-02"}, "Input should be 'hour', 'day'"),
        ({"every": "day", "start": "2024-01-01", "timezone": "Mars"}, "Mars"),
        ({"values": ["a", "a"]}, "'a' occurs twice"),
        ({"values": ["a|b"]}, "which is not allowed in a key"),
        ({"values": ["*"]}, "which is not allowed in a key"),
        ({"values": ["${FACTORY_HOME}"]}, "which is not allowed in a key"),
        ({"values": []}, "at least 1"),
        ({"values": ["x" * 81]}, "too long"),
        ({"dynamic": False}, "Input should be True"),
        ({"dynamic": True, "exclude": ["a", "a"]}, "'a' occurs twice"),
        ({"values": ["a"], "exclude": ["a"]}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_dimensions_are_refused(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _dimensions(d=declared)


def _spec(files: str | list[str], partitions: dict[str, Any]) -> PipelineSpec:
    contract = [{"name": "x", "type": "int64"}]
    ingest = {"source": {"files": files}, "contract": contract}
    return PipelineSpec.model_validate(
        {"purpose": "test", "partitions": partitions, "ingest": ingest}
    )


@pytest.mark.parametrize(
    ("nameless", "written"),
    [
        ({"dynamic": True}, "{site: {dynamic: …}}"),
        ({"values": ["a", "b"]}, "{site: {values: …}}"),
        ({"every": "day", "start": "2024-01-01"}, "{day: {every: …}}"),
    ],
)
def test_a_dimension_without_a_name_is_told_to_have_one(
    nameless: dict[str, Any], written: str
) -> None:
    with pytest.raises(ValidationError, match=f"without a name; write `{written}`"):
        _spec("{site}.csv", nameless)
    assert [*_spec("{every}.csv", {"every": {"dynamic": True}}).partitions] == ["every"]


_DAYS = {"day": {"every": "day", "start": "2024-01-01"}}
_SITES = {"site": {"values": ["a", "b"]}}


@pytest.mark.parametrize(
    ("files", "partitions", "message"),
    [
        ("data.csv", _DAYS, "does not name partition 'day'; put {day} where"),
        ("{day}.csv", {**_DAYS, **_SITES}, "does not name partition 'site'"),
        ("{dya}.csv", _DAYS, "no partition 'dya'; did you mean 'day'"),
        ("{site:%Y}.csv", _SITES, "'site' is not of time; write {site} alone"),
        ("{x}.csv", {"x": {"dynamic": True}}, "'x' is a column of the contract already"),
        ("{a}{b}.csv", {"a": _DAYS["day"], "b": _DAYS["day"]}, "are both of time; keep one"),
    ],
)
def test_sources_must_tell_partitions_apart(
    files: str, partitions: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        _spec(files, partitions)


_HOURS = {"h": {"every": "hour", "start": "2024-01-01", "timezone": "Europe/Berlin"}}
_IN_UTC = {"h": {"every": "hour", "start": "2024-01-01"}}


@pytest.mark.parametrize(
    ("files", "partitions", "message"),
    [
        ("{day:%Y-%m}/*.csv", _DAYS, "'2024-01-01' and '2024-01-02' would read the same files"),
        ("{day:%m-%d}.csv", _DAYS, "'2024-01-01' and '2025-01-01' would read the same files"),
        ("{h:%Y-%m-%dT%H}.csv", _HOURS, "'2024-10-27-02:00' and '2024-10-27-02:00.0100' would"),
        (["{day}.csv", "more.csv"], _DAYS, "every partition of 'day' would .* 'more.csv'; put {da"),
        (["{day}.csv", "{day:%Y}.csv"], _DAYS, "would read the same files '{day:%Y}.csv'"),
    ],
)
def test_no_file_belongs_to_two_partitions(
    files: str | list[str], partitions: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        _spec(files, partitions)


@pytest.mark.parametrize(
    ("files", "partitions"),
    [
        ("{day:%Y/%m/%d}.csv", _DAYS),
        ("{day:%Y}/{day:%j}.csv", _DAYS),
        ("{day:%m-%d}.csv", {"day": {**_DAYS["day"], "end": "2024-12-31"}}),
        ("{day:%Y-%m}.csv", {"day": {"every": "month", "start": "2024-01-01"}}),
        ("{h:%Y-%m-%dT%H%z}.csv", _HOURS),
        ("{h:%Y-%m-%dT%H}.csv", _IN_UTC),
        ("{day:%Y}/{day}/{site}.csv", {**_DAYS, **_SITES}),
    ],
)
def test_files_of_partitions_may_have_any_names(files: str, partitions: dict[str, Any]) -> None:
    assert {*partitions} < {*_spec(files, partitions).columns()}


def test_members_of_archives_tell_partitions_apart() -> None:
    declared = {"files": "{day:%Y-%m}.zip", "member": "{day}.csv"}
    contract = [{"name": "x", "type": "int64"}]
    ingest: dict[str, Any] = {"source": declared, "contract": contract}
    spec = {"purpose": "test", "partitions": _DAYS, "ingest": ingest}
    PipelineSpec.model_validate(spec)
    declared["member"] = "*.csv"
    with pytest.raises(ValidationError, match="would read the same files"):
        PipelineSpec.model_validate(spec)
    PipelineSpec.model_validate(spec, context=STORED)


def test_a_placeholder_with_a_format_names_the_dimension() -> None:
    assert _spec("{day:%Y}/{day}.csv", _DAYS).columns() == ("x", "day")


@pytest.mark.parametrize(
    ("files", "partitions", "message"),
    [
        ("{day}.csv", {"day": {**_DAYS["day"], "exclude": ["2024-02-30"]}}, "'2024-02-30'"),
        ("{day}.csv", {"day": {**_DAYS["day"], "exclude": ["2023-12-31"]}}, "'2023-12-31'"),
        ("{day}.csv", {"day": {**_DAYS["day"], "exclude": ["2024-01-01|a"]}}, r"'2024-01-01\|a'"),
        ("{site}.csv", {"site": {"dynamic": True, "exclude": ["a*"]}}, r"'a\*'"),
        (
            "{day}/{site}.csv",
            {**_SITES, "day": {**_DAYS["day"], "exclude": ["2024-01-01|c"]}},
            r"'2024-01-01\|c'",
        ),
    ],
)
def test_what_could_not_be_a_partition_cannot_be_excluded(
    files: str, partitions: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=f"exclude: there can be no partition {message}; "):
        _spec(files, partitions)


def test_a_key_or_a_whole_key_is_excluded() -> None:
    declared = {**_DAYS["day"], "exclude": ["2024-01-02", "2024-01-03|a"]}
    dimensions = _spec("{day}/{site}.csv", {**_SITES, "day": declared}).partitions
    now = datetime(2024, 1, 4, tzinfo=UTC)
    left = [one.key for one in partitions_until(dimensions, now, {})]
    assert left == ["2024-01-01|a", "2024-01-01|b", "2024-01-03|b"]
    excluded = ["2024-01-02|a", "2024-01-02|b", "2024-01-03|a"]
    assert not any(partition_of(dimensions, key) for key in excluded)
    assert [excluding(dimensions, key) for key in (*excluded, *left)] == ["day"] * 3 + [None] * 3


def test_what_withdraws_a_partition_depends_on_its_dimensions() -> None:
    of_days, of_sites = (_spec("{day}/{site}.csv", {**_SITES, **_DAYS}).partitions, _SITES)
    found = withdrawing(of_days, "2024-01-02|a")
    assert found == "list '2024-01-02|a' under partitions.day.exclude"
    sites = _spec("{site}.csv", of_sites).partitions
    assert withdrawing(sites, "a") == "take 'a' out of partitions.site.values"
    lines = _spec("{site}/{line}.csv", {**of_sites, "line": {"values": ["1"]}}).partitions
    assert withdrawing(lines, "1|a") == ""


def test_periods_lie_between_start_and_end() -> None:
    declared = TimePartitions(every="month", start="2024-01-15", end="2024-04-15")
    assert declared.period("2024-01-01") is None
    assert declared.period("2024-03-01")
    assert declared.period("2024-04-01") is None
