"""Messages between a run and its workers are lines; errors arrive as they were raised."""

import math
from pathlib import Path

import pytest

from factory_assets.data.contract.table_checks import TableError
from factory_assets.execution.workers.fit_kinds import TASKS
from factory_assets.execution.workers.protocol import (
    ANSWERS,
    FailedMessage,
    FitCall,
    StepMessage,
    WorkerSetup,
    line_of,
)
from factory_assets.ml.training.fit_tasks import FitRows
from factory_assets.ml.training.trials import TrialTask
from factory_assets.results.checks import TableCheck
from factory_resources.errors import DatabaseAwayError, FactoryError, SourceError
from factory_resources.ledger.log import GrownError
from factory_resources.tables.snapshot import Snapshot


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


def test_a_fit_arrives_as_it_was_asked_for() -> None:
    snapshot = Snapshot(table="p/split_train", files=(), columns={"a": "DOUBLE"})
    task = TrialTask(
        rows=FitRows(train=snapshot, validation=snapshot),
        number=3,
        settings={"learning_rate": 0.1 + 0.2, "hidden": "[8]", "leaves": 31},
        medians={0: 1e-300, 7: math.inf},
        seconds=1.5,
        checkpoints=Path("/c"),
    )
    call = FitCall(stage="train", task=task.model_dump_json(), files=Path("/f"))
    arrived = TASKS.validate_json(FitCall.model_validate_json(line_of(call)).task)
    assert arrived == task
    assert isinstance(arrived, TrialTask)
    assert arrived.settings is not None
    assert [type(value) for value in arrived.settings.values()] == [float, str, int]


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
