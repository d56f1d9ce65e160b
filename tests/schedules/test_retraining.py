"""When a training starts by itself: once a reason, not too often, later again after a failure."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG
from hypothesis import given
from hypothesis import strategies as st

from factory_resources.tracking.run_history import REASON_TAG
from schedules import retraining, started_trainings
from schedules.retraining import decide
from schedules.started_trainings import Outcome, StartedTraining

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
REASONS = {"drift-v1-look3": "drift since yesterday"}


def started(*trainings: tuple[str, float, Outcome]) -> list[StartedTraining]:
    """Return trainings by reason, age in hours and outcome."""
    return [StartedTraining(reason, NOW - HOUR * age, end) for reason, age, end in trainings]


def test_a_reason_starts_one_training() -> None:
    first = decide(REASONS, [], at_most=2, now=NOW)
    assert (first.key, first.reason) == ("drift-v1-look3/1", "drift-v1-look3")
    again = decide(REASONS, started(("drift-v1-look3", 5, "succeeded")), at_most=2, now=NOW)
    assert again.key is None
    assert "trained already" in again.why


def test_all_alarms_of_a_look_start_one_training() -> None:
    both = {**REASONS, "performance-v1-look3": "performance since yesterday"}
    for trained in both:
        again = decide(both, started((trained, 5, "succeeded")), at_most=9, now=NOW)
        assert again.why.count("trained already") == 2, trained
    later = {**both, "performance-v1-look4": "performance since today"}
    ended = started(("drift-v1-look3", 5, "succeeded"))
    assert decide(later, ended, at_most=9, now=NOW).reason == "performance-v1-look4"
    assert decide(later, ended, at_most=1, now=NOW).why == (
        "performance since today: 1 training this week, and no more are allowed"
    )


def test_without_a_reason_nothing_starts() -> None:
    assert decide({}, [], at_most=2, now=NOW).key is None


def test_while_a_training_goes_on_no_other_starts() -> None:
    going = started(("outcomes-v1-1", 0.5, "unfinished"))
    assert decide(REASONS, going, at_most=9, now=NOW).key is None


def test_after_a_failure_it_waits_longer_each_time() -> None:
    waits = []
    for failures in (1, 2, 3):
        ended = started(*[("drift-v1-look3", 0.0, "failed")] * failures)
        hours = next(
            h
            for h in range(200)
            if decide(REASONS, ended, at_most=9, now=NOW + HOUR * h).key is not None
        )
        waits.append(hours)
    assert waits == [1, 4, 16]
    ended = started(("drift-v1-look3", 1.5, "failed"))
    assert decide(REASONS, ended, at_most=9, now=NOW).key == "drift-v1-look3/2"


def test_the_bound_of_a_week_holds_for_all_reasons_together() -> None:
    ended = started(("a", 100, "succeeded"), ("b", 20, "failed"))
    decision = decide(REASONS, ended, at_most=2, now=NOW)
    assert decision.key is None
    assert "2 trainings this week, and no more are allowed" in decision.why
    assert decide(REASONS, ended, at_most=2, now=NOW + HOUR * 67.9).key is None
    assert decide(REASONS, ended, at_most=2, now=NOW + HOUR * 68).key is not None


def test_a_refused_source_is_no_training() -> None:
    ended = started(("contract-1", 30, "refused"), ("contract-1", 20, "refused"))
    assert decide({"contract-1": "broken"}, ended, at_most=1, now=NOW).key == "contract-1/3"


def test_what_an_erasure_started_is_not_counted_among_the_trainings_of_a_week() -> None:
    ended = started(("erasure-1", 20, "succeeded"), ("erasure-2", 10, "succeeded"))
    assert decide(REASONS, ended, at_most=1, now=NOW).key == "drift-v1-look3/1"
    going = started(("erasure-3", 0.1, "unfinished"))
    assert decide(REASONS, going, at_most=1, now=NOW).key is None


_TRAININGS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.floats(0, 400),
        st.sampled_from(["succeeded", "failed", "refused", "unfinished"]),
    ),
    max_size=12,
)


@given(_TRAININGS, st.sets(st.sampled_from(["a", "b", "c"])), st.integers(1, 4))
def test_whatever_happened_the_promises_hold(
    ended: list[tuple[str, float, Outcome]], keys: set[str], at_most: int
) -> None:
    trainings = started(*ended)
    decision = decide({key: key for key in keys}, trainings, at_most=at_most, now=NOW)
    if decision.key is None:
        return
    assert decision.reason in keys
    assert all(one.outcome != "unfinished" for one in trainings)
    own = [one for one in trainings if one.reason == decision.reason]
    assert all(one.outcome != "succeeded" for one in own)
    assert decision.key == f"{decision.reason}/{len(own) + 1}"
    week = [one for one in trainings if one.time > NOW - timedelta(days=7)]
    assert len([one for one in week if one.outcome != "refused"]) < at_most


def test_many_other_runs_hide_no_training_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(started_trainings, "_REMEMBERED", 3)

    @dg.op
    def fail(context: dg.OpExecutionContext) -> None:
        if REASON_TAG in context.run.tags:
            raise OSError("the source is away")

    @dg.job
    def apples() -> None:
        fail()

    sensor = retraining.retraining_sensor(
        "apples", reasons=lambda: REASONS, at_most=9, after_contract=False, enabled=True
    )
    with dg.DagsterInstance.ephemeral() as instance:

        def run(tags: dict[str, str]) -> None:
            apples.execute_in_process(instance=instance, tags=tags, raise_on_error=False)

        def look() -> Any:
            return sensor(dg.build_sensor_context(instance=instance))

        first = look()
        assert first.run_key == "apples:drift-v1-look3/1"
        run(first.tags)
        for _ in range(5):
            run({})
        # Dagster starts no second run of the same key.
        assert look().skip_message.startswith("drift since yesterday: failed 1 time, tried again")


def _sensor(**changed: Any) -> Any:
    declared = {"reasons": dict, "at_most": 2, "after_contract": False, "enabled": True}
    return retraining.retraining_sensor("apples", **{**declared, **changed})


def _looked(sensor: Any, instance: dg.DagsterInstance) -> Any:
    return sensor(dg.build_sensor_context(instance=instance))


def test_a_training_whose_process_died_is_one_with_those_that_repeat_it() -> None:
    sensor = _sensor(reasons=lambda: REASONS)
    with dg.DagsterInstance.ephemeral() as instance:

        def add(status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
            tags = {REASON_TAG: "drift-v1-look3", **tags}
            run = dg.DagsterRun("apples", str(uuid4()), status=status, tags=tags)
            return instance.run_storage.add_run(run)

        first = add(dg.DagsterRunStatus.FAILURE)
        again = {PARENT_RUN_ID_TAG: first.run_id, ROOT_RUN_ID_TAG: first.run_id}
        add(dg.DagsterRunStatus.FAILURE, **again)
        add(dg.DagsterRunStatus.FAILURE, **again)
        assert "failed 1 time, tried again" in _looked(sensor, instance).skip_message
        later = _sensor(
            reasons=lambda: REASONS, clock=lambda: datetime.now(UTC) + timedelta(hours=1.1)
        )
        # The number of its key is that of no run before.
        assert _looked(later, instance).run_key == "apples:drift-v1-look3/4"
        add(dg.DagsterRunStatus.STARTED, **again)
        assert _looked(later, instance).skip_message == "a training goes on"


def test_the_source_of_a_pipeline_in_partitions_is_tried_again_after_it_broke_its_contract() -> (
    None
):
    @dg.op(name="apples__partitions")
    def refuse() -> None:
        raise dg.Failure("a partition breaks the contract")

    @dg.job
    def apples() -> None:
        refuse()

    sensor = _sensor(after_contract=True)
    with dg.DagsterInstance.ephemeral() as instance:
        broken = apples.execute_in_process(instance=instance, raise_on_error=False)
        assert _looked(sensor, instance).tags[REASON_TAG] == f"contract-{broken.run_id[:8]}"

        def end(status: dg.DagsterRunStatus, *stages: str) -> None:
            keys = frozenset(dg.AssetKey(["apples", stage]) for stage in stages)
            run = dg.DagsterRun("apples", str(uuid4()), asset_selection=keys or None)
            instance.run_storage.add_run(run.with_status(status))

        def succeed(*stages: str) -> None:
            end(dg.DagsterRunStatus.SUCCESS, *stages)

        assert _looked(_sensor(), instance).skip_message == "there is no reason to train"
        # The files that were corrected arrived; nothing was trained with them yet.
        succeed("partitions")
        assert _looked(sensor, instance).tags[REASON_TAG] == f"contract-{broken.run_id[:8]}"
        succeed("partitions", "train")
        assert _looked(sensor, instance).skip_message == "there is no reason to train"
        broken = apples.execute_in_process(instance=instance, raise_on_error=False)
        assert _looked(sensor, instance).tags[REASON_TAG] == f"contract-{broken.run_id[:8]}"
        # One that failed otherwise may have read it whole.
        end(dg.DagsterRunStatus.FAILURE, "partitions")
        broken = apples.execute_in_process(instance=instance, raise_on_error=False)
        assert _looked(sensor, instance).tags[REASON_TAG] == f"contract-{broken.run_id[:8]}"
        # All of it, as a schedule runs it.
        succeed()
        assert _looked(sensor, instance).skip_message == "there is no reason to train"


@pytest.mark.parametrize(
    "error",
    [DagsterExecutionInterruptedError(), dg.Failure("the contract is broken")],
    ids=["cancelled", "refused"],
)
def test_a_run_that_was_cancelled_while_it_read_the_source_is_not_started_again(
    error: BaseException,
) -> None:
    @dg.op(name="apples__ingest")
    def read() -> None:
        raise error

    @dg.job
    def apples() -> None:
        read()

    with dg.DagsterInstance.ephemeral() as instance:
        with suppress(DagsterExecutionInterruptedError):
            apples.execute_in_process(instance=instance, raise_on_error=False)
        is_refused = isinstance(error, dg.Failure)
        [run] = instance.get_runs()
        if not is_refused:
            instance.report_run_canceled(run)
        found = _looked(_sensor(after_contract=True), instance)
        assert isinstance(found, dg.RunRequest) == is_refused
