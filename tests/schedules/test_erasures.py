"""Trainings after an erasure are started once, and again after a failure, but not for ever."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import dagster as dg

from factory_resources.tracking.run_history import REASON_TAG
from schedules.erasures import erasure_sensor


@dg.op
def learn() -> None:
    pass


@dg.job
def apples() -> None:
    learn()


@dg.job
def pears() -> None:
    learn()


def asked(
    instance: dg.DagsterInstance, done: Sequence[tuple[str, str]], hours: float = 0
) -> list[str]:
    """Return the keys of the runs that the sensor asks for, so many hours from now."""
    sensor: Any = erasure_sensor(
        [apples, pears],
        look=lambda: done,
        clock=lambda: datetime.now(UTC) + timedelta(hours=hours),
    )
    found = sensor(dg.build_sensor_context(instance=instance))
    return [] if isinstance(found, dg.SkipReason) else [one.run_key for one in found]


def add(instance: dg.DagsterInstance, erasure: str, status: dg.DagsterRunStatus) -> None:
    tags = {REASON_TAG: f"erasure-{erasure}"}
    instance.run_storage.add_run(dg.DagsterRun("apples", str(uuid4()), status=status, tags=tags))


def test_a_training_that_failed_is_started_again_later_and_at_last_no_more() -> None:
    done = [("e1", "apples"), ("e1", "pears"), ("e2", "apples"), ("e1", "plums")]
    others = ["apples:erasure-e2", "pears:erasure-e1"]
    with dg.DagsterInstance.ephemeral() as instance:
        assert sorted(asked(instance, done)) == ["apples:erasure-e1", *others]
        waits = [1, 4, 16, 64]
        for failures, wait in enumerate(waits, 1):
            add(instance, "e1", dg.DagsterRunStatus.FAILURE)
            assert sorted(asked(instance, done, wait - 0.1)) == others
            again = f"apples:erasure-e1/{failures + 1}"
            assert sorted(asked(instance, done, wait + 0.1)) == [again, *others]
        add(instance, "e1", dg.DagsterRunStatus.FAILURE)
        assert sorted(asked(instance, done, 1000)) == others


def test_what_goes_on_or_succeeded_is_not_started_again() -> None:
    done = [("e1", "apples")]
    with dg.DagsterInstance.ephemeral() as instance:
        add(instance, "e1", dg.DagsterRunStatus.FAILURE)
        assert asked(instance, done, 2) == ["apples:erasure-e1/2"]
        add(instance, "e1", dg.DagsterRunStatus.STARTED)
        assert asked(instance, done, 5) == []
    with dg.DagsterInstance.ephemeral() as instance:
        add(instance, "e1", dg.DagsterRunStatus.FAILURE)
        add(instance, "e1", dg.DagsterRunStatus.SUCCESS)
        assert asked(instance, done, 5) == []
