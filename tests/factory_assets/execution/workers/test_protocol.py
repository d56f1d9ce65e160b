"""Messages between a run and its workers are lines; errors arrive as they were raised."""

import math
from pathlib import Path

import pytest

from factory_assets.data.contract.table_checks import TableError
from factory_assets.execution.workers.protocol import (
    ANSWERS,
    FailedMessage,
    StepMessage,
    WorkerSetup,
    line_of,
)
from factory_assets.results.checks import TableCheck
from factory_resources.errors import DatabaseAwayError, FactoryError, SourceError
from factory_resources.ledger.log import GrownError


def _passed(error: FactoryError) -> FactoryError:
    answer = ANSWERS.validate_json(line_of(FailedMessage.of(error)))
    assert isinstance(answer, FailedMessage)
    return answer.rebuilt()


def test_a_message_is_one_line() -> None:
    line = line_of(StepMessage(message="1\n2\r\u2028"))
    assert line.count(b"\n") == 1
    assert ANSWERS.validate_json(line) == StepMessage(message="1\n2\r\u2028")


@pytest.mark.parametrize("kind", [SourceError, DatabaseAwayError])
def test_an_error_arrives_as_it_was_raised(kind: type[FactoryError]) -> None:
    error = _passed(kind("what\n", where="p/ingest", remedy="do"))
    assert (type(error), error.what, error.where, error.remedy) == (
        kind,
        "what\n",
        "p/ingest",
        "do",
    )


def test_an_error_of_another_module_arrives_as_the_kind_that_it_is() -> None:
    error = GrownError("grew", where="ledger", remedy="again")
    assert type(_passed(error)).__name__ == "StorageError"


def test_an_error_about_a_table_keeps_its_checks() -> None:
    check = TableCheck("row_count", False, "3 rows", True, "look", {"rows": 3})
    error = TableError([check], "p/ingest")
    error.what = "hidden"
    passed = _passed(error)
    assert isinstance(passed, TableError)
    assert (passed.checks, str(passed)) == ((check,), "p/ingest: hidden; look")


def test_everything_may_be_hashed_again() -> None:
    setup = WorkerSetup(
        path=("/a",),
        folder=Path("/f"),
        declaration="d",
        home=Path("/h"),
        scratch=Path("/s"),
        run_id="r",
        reuse=True,
        tags={},
        scheduled=None,
        workers=2,
        hashing=math.inf,
        objects=False,
    )
    assert WorkerSetup.model_validate_json(line_of(setup)) == setup
