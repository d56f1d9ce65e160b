"""Requests are found by an expression over the columns of the contract, also protected values."""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from factory_assets.erasure import answers
from factory_assets.erasure.answers import MatchingRequests, matching_requests, requests_with
from factory_assets.ml.artifacts.trained_model import DESCRIPTION
from factory_assets.serving.online.column_request import encode_columns
from factory_resources.errors import ExpressionError, StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.protection import Protection, destroy_keys
from factory_resources.prediction_log.record import PredictionRecord, encode
from factory_resources.tracking.registry import Registry
from tests.erasures import note_erased
from tests.factory_assets.serving.edge.cases import make_factory

DAY = date(2026, 1, 31)


class Answers:
    """A home in which requests are logged.

    Args:
        clock: sets the clock to a day.
    """

    def __init__(self, home: Home, clock: Callable[[date], None]) -> None:
        self.home, self._clock, self._ids = home, clock, PredictionIds()
        self.log = PredictionLog(home)

    def write(
        self,
        rows: Sequence[Mapping[str, Any]] | bytes,
        *,
        day: date = DAY,
        version: int = 1,
        protocol: Literal["plain", "edge"] = "plain",
    ) -> bytes:
        """Log a request, stored; return its id."""
        self._clock(day)
        content = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
        count = 3 if isinstance(rows, bytes) else len(rows)
        request, journal = self._ids.take(max(1, count)), self.log.journal()
        record = PredictionRecord(
            time=time.time_ns() // 1000,
            duration=1,
            pipeline="pump",
            version=version,
            caller="",
            protocol=protocol,
            kind="answer" if count else "error",
            status=200 if count else 422,
            rows=count,
            input=content if count else b"",
            output=b"{}",
        )
        journal.append(request, encode(record))
        journal.flush()
        journal.close()
        self.log.collect()
        return request

    def protected(self, value: Any, mode: Any, *, day: date = DAY) -> dict[str, str]:
        self._clock(day)
        return Protection(self.home, "pump", mode).protect(value, time.time_ns() // 1000)

    def found(self, where: str, **known: Sequence[Any]) -> MatchingRequests:
        return matching_requests(self.home, "pump", where, known)

    def matching(self, where: str, **known: Sequence[Any]) -> set[bytes]:
        return {*map(bytes.fromhex, self.found(where, **known).requests)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a version, whose contract has the columns."""
    return make_factory(tmp_path_factory.mktemp("pumps")).home


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[date], None]:
    def set_to(day: date) -> None:
        moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        monkeypatch.setattr(time, "time_ns", lambda: int(moment.timestamp()) * 10**9)

    return set_to


@pytest.fixture
def pump(made: Home, tmp_path: Path, clock: Callable[[date], None]) -> Answers:
    return Answers(Home(Path(shutil.copytree(made.path, tmp_path / "home"))), clock)


@pytest.fixture
def unknown(home: Home, clock: Callable[[date], None]) -> Answers:
    """Answers of a pipeline that has no version any more."""
    Ledger(home).begin()
    return Answers(home, clock)


@pytest.mark.slow
def test_columns_have_the_names_and_types_of_the_contract(pump: Answers) -> None:
    first = pump.write([{"Size [mm]": "12.50"}, {"Size [mm]": 13}, {"Size [mm]": 12.5}])
    second = pump.write([{"Size [mm]": "n/a", "starts": -1}])
    third = pump.write([{"Size [mm]": 1, "starts": "7"}])
    assert pump.matching("size = 12.5") == {first}
    assert pump.matching("SIZE IS NULL OR starts + 1 = 8") == {second, third}
    assert pump.matching("starts IS NULL") == {second}
    assert pump.matching("coalesce(starts, 0) = 0 OR size = 12.5") == {second}
    # A version that is gone promised what the newest did.
    gone = pump.write([{"Size [mm]": "99"}], version=8)
    assert pump.matching("size > 98") == {gone}
    Registry(pump.home).version("pump", 1).files.joinpath(DESCRIPTION).unlink()
    with pytest.raises(StorageError, match="description of pump@1 cannot be read"):
        pump.matching("size = 12.5")
    # An erasure removed it, because it had a value of somebody: another person can still be found.
    note_erased(pump.home, {}, "pump", gone=(1,))
    assert pump.matching("size = 12.5") == {first}


@pytest.mark.parametrize(
    "where",
    [
        "nbr > 41",
        "nbr BETWEEN 1 AND 2",
        "nbr + 1 = 3",
        "born < DATE '1980-01-31'",
        "lower(a) = 'x'",
    ],
)
def test_answers_without_a_column_do_not_keep_it_from_being_compared(
    unknown: Answers, where: str
) -> None:
    unknown.write([{"size": 1}])
    assert unknown.matching(where) == set()
    assert unknown.matching(f"{where} OR year(born) = 1980", born=[date(1980, 1, 31)]) == set()


@pytest.mark.slow
def test_columns_that_no_request_has_are_named(pump: Answers) -> None:
    request = pump.write([{"Size [mm]": 1}])
    found = pump.found("size = 1 AND (colour IS NULL OR zip = 3)")
    assert (found.requests, found.missing) == ((request.hex(),), ("colour", "zip"))
    found = pump.found("zip = 3")
    assert (found.requests, found.missing) == ((), ("zip",))


def test_answers_of_a_pipeline_without_a_version_are_found_wherever_they_are(
    prepared_engine: str, unknown: Answers
) -> None:
    arrays = encode_columns({"a": np.array([1.0, np.nan, 3.0]), "name": ["x", "y", "x"]})
    old = unknown.write(arrays, day=DAY - timedelta(days=60))
    unknown.log.archive(DAY - timedelta(days=30))
    recent = unknown.write([{"a": 3, "name": "x"}, {"a": 4, "name": "x"}])
    unknown.write([{"a": 3.0, "name": "z"}])
    unknown.write([])
    assert unknown.found("a = 3 AND name = 'x'").requests == (old.hex(), recent.hex())


def test_encrypted_values_are_revealed_and_gone_with_their_key(unknown: Answers) -> None:
    past, present = DAY, DAY + timedelta(days=40)
    requests = [
        unknown.write([{"name": unknown.protected("ann", "encrypted", day=day)}], day=day)
        for day in (past, present)
    ]
    unknown.write([{"name": unknown.protected("bo", "encrypted")}])
    assert unknown.matching("name = 'ann'") == {*requests}
    destroy_keys(unknown.home, "pump", date(2026, 2, 1), "test")
    found = unknown.found("name = 'ann'")
    assert (found.requests, found.hidden) == ((requests[1].hex(),), ("name",))


def test_commitments_are_recognised_by_known_values_month_by_month(unknown: Answers) -> None:
    days = [DAY, DAY + timedelta(days=40)]
    committed = [
        unknown.write([{"nbr": unknown.protected(value, "commitment", day=day)}], day=day)
        for day, value in zip(days, (42, "42"), strict=True)
    ]
    unknown.write([{"nbr": unknown.protected(43, "commitment")}])
    for known in (["42"], [42], [42.0], [7, 42]):
        found = unknown.matching("CAST(nbr AS VARCHAR) IN ('42', '42.0')", NBR=known)
        assert found == {*committed}, known
    unclear = "nbr IN ('42', '7') AND nbr < '6'"
    found_none = unknown.found(unclear)
    assert (found_none.requests, found_none.hidden) == ((), ("nbr",))
    # The expression itself says which value is meant.
    for where in ("nbr = '42'", "other = 1 OR nbr IN ('7', 42)", "42.0 = nbr"):
        assert unknown.matching(where) == {*committed}, where
        assert unknown.found(where).hidden == (), where
    assert unknown.matching("CAST(nbr AS VARCHAR) = '42'", nbr=[43, 41]) == set()


@pytest.mark.parametrize("mode", ["encrypted", "commitment"])
@pytest.mark.parametrize("value", ["Qwertz Uiopasdf", 4_200_424_042, 72.38091746, "1957-03-02"])
def test_values_of_nobody_else_are_found_in_protected_cells(
    mode: str, value: str | float, unknown: Answers
) -> None:
    days = [DAY, DAY + timedelta(days=40)]
    own = [
        unknown.write([{"a": 1}, {"x": unknown.protected(value, mode, day=day)}], day=day)
        for day in days
    ]
    unknown.write([{"x": unknown.protected("Zyxwvu Tsrqpo", mode)}, {"a": 2}])
    sought = [date.fromisoformat(value) if value == "1957-03-02" else value, "Another One"]
    assert requests_with(unknown.home, "pump", sought) == [request.hex() for request in own]
    destroy_keys(unknown.home, "pump", date(2026, 2, 1), "test")
    assert requests_with(unknown.home, "pump", sought) == [own[1].hex()]


@pytest.mark.parametrize("searched", [1, 100, 1 << 20])
def test_values_of_nobody_else_are_found_however_many_requests_are_searched_together(
    searched: int, unknown: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "_SEARCHED", searched)
    cells = ["Qwertz Uiopasdf", 4_200_424_042, "7", 14_200_424_042, "Qwertz Uiopasdfg", "", 42]
    asked = [unknown.write([{"x": "other"}, {"x": cell}]) for cell in cells * 2]
    own = sorted(asked[number].hex() for number in (0, 1, 7, 8))
    assert requests_with(unknown.home, "pump", ["Qwertz Uiopasdf", 4_200_424_042]) == own
    assert requests_with(unknown.home, "pump", ["Zyxwvu Tsrqpo"]) == []


@pytest.mark.parametrize("has_key", [False, True])
def test_a_commitment_of_a_pack_cannot_be_compared_and_blocks_nobody(
    has_key: bool, unknown: Answers
) -> None:
    committed = {"name": {"commitment": "5e" * 32}, "a": 1}
    unknown.write([committed], protocol="edge")
    asked = unknown.write([{"name": "ann", "a": 2}])
    if has_key:
        unknown.protected("bo", "commitment")
    for where, requests in (("name = 'ann'", (asked.hex(),)), ("name = 'bo'", ())):
        found = unknown.found(where)
        assert (found.requests, found.hidden) == (requests, ("name",))
    assert unknown.found("a = 2").hidden == ()
    assert requests_with(unknown.home, "pump", ["Qwertz Uiopasdf"]) == []


@pytest.mark.parametrize(
    "cell",
    [{"encrypted": "AAAA"}, {"encrypted": 5}, {"commitment": []}, {"commitment": "x"}, {"a": "b"}],
)
@pytest.mark.parametrize("has_key", [False, True])
def test_what_only_looks_like_a_protected_value_blocks_nobody(
    cell: dict[str, Any], has_key: bool, unknown: Answers
) -> None:
    unknown.write([{"x": cell, "encrypted": 1, "commitment": 1}])
    asked = unknown.write([{"x": "Qwertz Uiopasdf"}])
    if has_key:
        unknown.protected("bo", "commitment")
    assert unknown.matching("x = 'Qwertz Uiopasdf'") == {asked}
    assert requests_with(unknown.home, "pump", ["Qwertz Uiopasdf"]) == [asked.hex()]


def test_a_value_is_found_in_an_object(unknown: Answers) -> None:
    text = json.dumps({"who": ["Qwertz Uiopasdf", 4_200_424_042]})
    asked = [unknown.write([{"x": cell}]).hex() for cell in (json.loads(text), text)]
    unknown.write([{"x": text.replace("42", "43").replace("tz", "ty")}])
    for value in ("Qwertz Uiopasdf", 4_200_424_042):
        assert requests_with(unknown.home, "pump", [value]) == asked


def test_what_is_true_of_missing_values_is_not_true_of_unknown_ones(unknown: Answers) -> None:
    unknown.write([{"a": 1}, {"a": None}])
    missing = unknown.write([{"name": None, "a": 1}])
    unknown.write([{"name": unknown.protected("ann", "commitment"), "a": 1}])
    assert unknown.matching("name IS NULL", name=["bo"]) == {missing}
    assert unknown.matching("name = 'bo' OR name IS NULL", name=["bo"]) == {missing}
    assert len(unknown.matching("name = 'bo' OR a = 1", name=["bo"])) == 3


@pytest.mark.parametrize("name", ["n", "N", "c0", "c1", "asked"])
def test_a_column_may_have_any_name(name: str, unknown: Answers) -> None:
    unknown.write([{name: 7, "a": 1}, {name: 8, "a": 0}])
    request = unknown.write([{name: 8, "a": 1}, {name: 1, "a": 1}])
    assert unknown.matching(f"a = 1 AND {name} = 1") == {request}


def test_batches_are_of_limited_size(unknown: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_ROWS", 3)
    requests = [unknown.write([{"a": n}, {"a": -n}]) for n in range(1, 8)]
    found = unknown.matching("a % 2 = 0")
    assert sorted(found) == [requests[n] for n in (1, 3, 5)]


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("a = 1; DROP TABLE asked", "is not one expression|is not an SQL expression"),
        ("a IN (SELECT 1)", "a subquery"),
        ("row_number() OVER () = 1", "OVER"),
        ("a = 'x'", "Could not convert"),
    ],
)
def test_a_wrong_expression_is_told_in_one_line(unknown: Answers, where: str, told: str) -> None:
    unknown.write([{"a": 1}])
    with pytest.raises(ExpressionError, match=told) as raised:
        unknown.matching(where)
    assert "\n" not in str(raised.value)


def test_a_home_that_never_answered_has_no_answers(home: Home) -> None:
    home.require_writable()
    assert matching_requests(home, "pump", "a = 1", {}).requests == ()
    assert not home.predictions_database.exists()
