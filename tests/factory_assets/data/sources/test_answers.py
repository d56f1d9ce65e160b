"""Answers whose outcomes are known are a source: each is read once, in an order that stays."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from factory_assets.data.labelled_answers import (
    ComparableModel,
    choose_answers,
    labelled_table,
)
from factory_assets.data.sources.answers import answer_ids
from factory_assets.data.sources.base import SourceContext
from factory_assets.data.sources.discovery import discover
from factory_assets.serving.batch import predict
from factory_assets.serving.feedback.table import record_from_table
from factory_assets.spec import AnswersSource
from factory_assets.stages.ingest import ingest
from factory_resources.errors import ContractError, SourceError
from factory_resources.home.home import Home
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.outcomes.target_values import TargetValues
from factory_resources.outcomes.targets import Targets
from factory_resources.prediction_log import protection
from factory_resources.prediction_log.protection import Protection
from tests.data_stages import pipeline, rows
from tests.factory_assets.serving.cases import Deployed
from tests.factory_assets.serving.feedback.conftest import copied, rows_asked
from tests.factory_assets.serving.feedback.conftest import grading as grading
from tests.factory_assets.serving.feedback.conftest import pricing as pricing
from tests.pipelines import declare

CONTRACT: list[dict[str, Any]] = [
    {"name": "size", "from": "Size [mm]", "type": "float64"},
    {"name": "machine", "type": "string"},
    {"name": "label", "from": "Grade", "type": "string"},
    {"name": "id", "type": "string"},
]


@pytest.fixture
def home(grading: Deployed, tmp_path: Path) -> Home:
    return copied(grading, tmp_path / "home")


def asked(made: Deployed, home: Home, count: int, start: int = 0) -> list[str]:
    file = home.path.parent / "asked.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows_asked(count, start)))
    found: list[str] = predict(made.pipeline, file, home)["id"].to_pylist()
    return found


def tell(home: Home, outcomes: dict[str, Any]) -> None:
    table = pa.table({"id": [*outcomes], "outcome": [*outcomes.values()]})
    record_from_table("p", table, home)


def read(home: Home, folder: Path, contract: list[dict[str, Any]] = CONTRACT, **source: Any) -> Any:
    part = {"source": {"answers": "p", **source}, "contract": contract}
    return ingest(pipeline(folder, contract[0]["name"], ingest=part), home)


def test_rows_are_what_was_asked_and_what_was_true(
    grading: Deployed, home: Home, tmp_path: Path
) -> None:
    ids = asked(grading, home, 4)
    tell(home, {ids[2]: "good", ids[0]: "bad"})
    result = read(home, tmp_path)
    assert [
        (row["size"], row["machine"], row["label"], row["id"], row["_row"])
        for row in rows(result.snapshot, home)
    ] == [(2.02, "m2", "good", ids[2], 1), (0.0, "m0", "bad", ids[0], 2)]
    assert len(result.sources) == 1
    assert answer_ids(result.sources[0].name, 2, home) == (ids[2], ids[0])


def test_an_outcome_of_another_target_is_not_taken_for_one_of_the_champions(
    grading: Deployed, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = asked(grading, home, 2)
    tell(home, {ids[0]: "good"})

    def of_champion(*_: object) -> TargetValues:
        """By now another version serves, which predicts whether a part is returned."""
        return TargetValues(column="returned", source_name="Returned", classes=(), sensitive=())

    monkeypatch.setattr(Targets, "of_champion", of_champion)
    contract = [*CONTRACT, {"name": "returned", "from": "Returned", "type": "string"}]
    result = read(home, tmp_path, contract)
    assert rows(result.snapshot, home, "label", "returned") == [{"label": "good", "returned": None}]
    chosen = choose_answers(home, "p", after=0, until=1 << 61, without=(), newest=9)
    declared = pipeline(tmp_path, "size", ingest={"source": {"answers": "p"}, "contract": contract})
    model = ComparableModel(("size", "returned"), {}, (), declared.spec.ingest, declared.spec.clean)
    assert labelled_table(chosen, model, "returned", home).num_rows == 0


def test_a_row_keeps_its_number_when_others_follow_or_it_is_corrected(
    grading: Deployed, home: Home, tmp_path: Path
) -> None:
    ids = asked(grading, home, 4)
    tell(home, {ids[3]: "good"})
    first = read(home, tmp_path)
    tell(home, {ids[1]: "good", ids[3]: "bad"})
    second = read(home, tmp_path)
    found = [(row["id"], row["label"], row["_row"]) for row in rows(second.snapshot, home)]
    assert found == [(ids[3], "bad", 1), (ids[1], "good", 2)]
    assert first.sources[0].sha256 != second.sources[0].sha256
    assert answer_ids(first.sources[0].name, 1, home) == (ids[3],)
    assert answer_ids(second.sources[0].name, 2, home) == (ids[3], ids[1])
    assert answer_ids(second.sources[0].name, 1, home) == ()


def _handles(home: Home, folder: Path, **source: Any) -> list[Any]:
    declared = AnswersSource.model_validate({"answers": "p", **source})
    return [*discover(declared, SourceContext(folder, home, folder / "scratch"))]


def test_the_same_state_has_the_same_version(grading: Deployed, home: Home, tmp_path: Path) -> None:
    ids = asked(grading, home, 4)
    tell(home, {ids[0]: "good"})
    versions = [one.version for one in _handles(home, tmp_path)]
    tell(home, {ids[0]: "good"})
    asked(grading, home, 2)
    assert [one.version for one in _handles(home, tmp_path)] == versions
    tell(home, {ids[0]: "bad"})
    assert [one.version for one in _handles(home, tmp_path)] != versions


def test_a_state_that_was_found_is_read_although_others_came(
    grading: Deployed, home: Home, tmp_path: Path
) -> None:
    ids = asked(grading, home, 4)
    tell(home, {ids[0]: "good"})
    [handle] = _handles(home, tmp_path)
    tell(home, {ids[0]: "bad", ids[1]: "good"})
    (tmp_path / "own").mkdir()
    table = handle.read(tmp_path / "own")
    assert table.rows == 1
    assert table.sha256 == handle.version
    assert pa.parquet.read_table(table.path)["Grade"].to_pylist() == ["good"]


def test_each_day_is_a_source_of_its_own(grading: Deployed, home: Home, tmp_path: Path) -> None:
    ids = asked(grading, home, 4)
    for one in ids:
        tell(home, {one: "good"})
    noon = datetime(2026, 5, 4, 12, tzinfo=UTC)
    with open_outcomes(home) as store:
        store.database.run(
            "UPDATE outcome SET recorded = ? + CASE WHEN number IN (1, 3) THEN 0 "
            "ELSE 86400000000 END",
            [int(noon.timestamp()) * 1_000_000],
        )
    result = read(home, tmp_path)
    found = [(row["id"], row["_row"]) for row in rows(result.snapshot, home)]
    assert found == [(ids[0], 1), (ids[2], 2), (ids[1], 1), (ids[3], 2)]
    assert [source.name[8:20] for source in result.sources] == ["p/2026-05-04", "p/2026-05-05"]


def test_only_answers_since_a_day_are_read(grading: Deployed, home: Home, tmp_path: Path) -> None:
    ids, before = asked(grading, home, 2), datetime.now(UTC).date()
    tell(home, dict.fromkeys(ids, "good"))
    after = datetime.now(UTC).date()
    [handle] = _handles(home, tmp_path, since=before)
    assert f" since {before.isoformat()}@" in str(handle.read.__closure__ and _name(handle))
    with pytest.raises(SourceError, match="no outcome of an answer is known"):
        _handles(home, tmp_path, since=after + timedelta(days=1))


def _name(handle: Any) -> str:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        name: str = handle.read(Path(folder)).name
    return name


def test_numbers_are_read_as_they_turned_out(pricing: Deployed, tmp_path: Path) -> None:
    home = copied(pricing, tmp_path / "home")
    ids = asked(pricing, home, 3)
    tell(home, dict(zip(ids, [1.25, 2, 1e300], strict=True)))
    contract = [{"name": "price", "type": "float64"}]
    found = [row["price"] for row in rows(read(home, tmp_path, contract).snapshot, home)]
    assert found == [1.25, 2.0, 1e300]


def test_who_answered_and_when_can_be_read(grading: Deployed, home: Home, tmp_path: Path) -> None:
    ids = asked(grading, home, 1)
    tell(home, {ids[0]: "good"})
    contract = [
        {"name": "version", "type": "int64"},
        {"name": "answered", "type": "timestamp"},
        {"name": "observed", "type": "timestamp"},
    ]
    [row] = rows(read(home, tmp_path, contract).snapshot, home)
    assert row["version"] == 1
    now = datetime.now(UTC).replace(tzinfo=None)
    assert now - timedelta(minutes=5) < row["answered"] <= row["observed"] < now


def test_committed_values_are_hidden_and_said_to_be(
    grading: Deployed, home: Home, tmp_path: Path
) -> None:
    tell(home, {asked(grading, home, 1)[0]: "good"})
    with pytest.raises(ContractError, match=r"'worker' is hidden.*log.sensitive: encrypt"):
        read(home, tmp_path, [*CONTRACT, {"name": "worker", "type": "string"}])


def _encrypting(pipeline: str, columns: object, home: Home) -> Protection:
    return Protection(home, pipeline, "encrypted")


def test_encrypted_values_are_revealed_as_long_as_their_key_exists(
    grading: Deployed, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from factory_assets.serving import batch_log

    monkeypatch.setattr(batch_log, "protection_of", _encrypting)
    ids = asked(grading, home, 2)
    tell(home, {ids[1]: "good"})
    contract = [*CONTRACT, {"name": "worker", "type": "string", "sensitive": "personal"}]
    [row] = rows(read(home, tmp_path, contract).snapshot, home)
    assert row["worker"] == "w1"
    [key] = protection.keys_folder(home, "p").glob("*.key")
    key.rename(key.with_suffix(".destroyed"))
    tell(home, {ids[0]: "good"})
    found = [row["worker"] for row in rows(read(home, tmp_path, contract).snapshot, home)]
    assert found == [None, None]


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda home: None, "no outcome of an answer is known yet"),
        (lambda home: open_outcomes(home).database.close(), "no outcome of an answer is known yet"),
    ],
)
def test_without_outcomes_the_error_says_how_to_record_some(
    prepare: Callable[[Home], object], words: str, home: Home, tmp_path: Path
) -> None:
    prepare(home)
    with pytest.raises(SourceError, match=words):
        read(home, tmp_path)


def test_without_a_model_nobody_is_told_to_record_outcomes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    declare(tmp_path / "defs" / "p", {"purpose": "x", "ingest": {"source": {"files": "d.csv"}}})
    with pytest.raises(SourceError, match=r"'p' has no model that answers; declare `train` in it$"):
        read(Home(tmp_path / "home"), tmp_path)


def test_a_lost_answer_is_named(grading: Deployed, home: Home, tmp_path: Path) -> None:
    ids = asked(grading, home, 1)
    tell(home, {ids[0]: "good"})
    for path in (home.predictions / "journal").iterdir():
        path.unlink()
    with pytest.raises(SourceError, match=f"1 answers are gone from the log, one is {ids[0]}"):
        read(home, tmp_path)
