"""A drift from beginning to end on real patients: trained in Cleveland, asked in Hungary.

It is noticed, people are told, outcomes come, the pipeline trains again with the new hospital, a
person approves, the server takes over, and the way back to the rows is traced. Between any two
steps the process that takes them is killed, and started again.
"""

import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeVar, get_args

import dagster as dg
import pytest

from factory_assets.cli.main import main
from factory_assets.declarations.loader import load_pipeline
from factory_assets.monitoring.alerts import known_alarms
from factory_assets.monitoring.looks import Looks
from factory_assets.monitoring.report import MonitorReport
from factory_assets.monitoring.watching import watch_once
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ChampionMade
from factory_resources.ledger.ledger import Ledger, entry_in
from factory_resources.ledger.watch_entries import AlarmsChanged
from factory_resources.outcomes.binding import bind_outcomes
from factory_resources.outcomes.summary import outcome_summary
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tracking.registry import Registry
from factory_resources.tracking.run_history import REASON_TAG
from tests.approvals import PASSPHRASE, Factory
from tests.daemons import TickStep, retry_dead, tick_sensor, work_on
from tests.hospitals import alert_sinks, as_asked, declare_hospital, patients
from tests.killed_steps import KillPoint, run_killed, run_whole
from tests.ledger import problems
from tests.serving import PredictionServer, start
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

K = TypeVar("K", ChampionMade, AlarmsChanged)

_ALERTS, _BINDING = "factory_assets.monitoring.alerts", "factory_resources.outcomes.binding"
_RUN = "factory_assets.components.model_pipeline"

STAGES = tuple(KillPoint(_RUN, "run_stage", call) for call in range(1, 7))

RETRAINED = (STAGES[3], KillPoint(_RUN, "run_stage", 2))
"""Trained; judged by the gates, in the process that Dagster starts next, at the training."""

LOOK = (
    KillPoint("factory_resources.prediction_log.prediction_log.PredictionLog", "collect"),
    KillPoint("factory_assets.monitoring.looks.Looks", "store"),
    *(KillPoint(_ALERTS, name) for name in ("_enter", "_write")),
    # The webhook took the alert, and that is remembered; then the mailbox.
    *(KillPoint(_ALERTS, name) for name in ("send", "_replace", "send", "_replace")),
)

BOUND = tuple(KillPoint(_BINDING, name) for name in ("store_batch", "enter", "mark"))

APPROVED = (
    KillPoint("factory_assets.cli.decide", "sign_decision"),
    KillPoint("factory_resources.ledger.log.Log", "append"),
)

RECORDED = KillPoint("factory_resources.outcomes.store.OutcomeStore", "add")

EVERY = pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.long)], ids=["last", "every"]
)


def command(*arguments: str) -> None:
    """Run the command `factory`."""
    main(arguments, standalone_mode=False)


def look(folder: Path, home: Path, day: int) -> None:
    """Look at the answers so many days from now."""
    later = datetime.now(UTC) + timedelta(days=day)
    assert watch_once(load_pipeline(folder), Home(home), later).problems == ()


@dataclass
class Story:
    """A factory, and what it acknowledged.

    Args:
        every: whether a process dies after each step of an act, or after the last one only.
    """

    made: Factory
    every: bool
    answers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def home(self) -> Home:
        return self.made.home

    def die(self, work: Callable[..., object], *arguments: Any, after: Sequence[KillPoint]) -> None:
        """Do work in one process after the other, each of which dies at its step."""
        for step in after if self.every else after[-1:]:
            run_killed(work, *arguments, step=step)

    def train(self) -> None:
        self.die(command, "run", "heart", after=STAGES)
        run_whole(command, "run", "heart")

    def approve(self, version: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FACTORY_KEY", str(self.made.key("jane")))
            patch.setenv("FACTORY_PASSPHRASE", PASSPHRASE)
            approve = ("approve", f"heart@{version}", "--reason", "it is better")
            self.die(command, *approve, after=APPROVED)
        # It was signed and entered; what the ledger says is done by whoever comes next.
        run_whole(command, "run", "heart")
        assert self.champion == Registry(self.home).alias("heart") == version

    @property
    def champion(self) -> int | None:
        return Registry(self.home).champion("heart")

    @contextmanager
    def server(self) -> Iterator[PredictionServer]:
        """Run a server, which is killed in the end."""
        if self.every:
            start(self.home.path).kill()
        server = start(self.home.path)
        try:
            yield server
        finally:
            server.kill()

    def ask(self, server: PredictionServer, found: list[dict[str, Any]]) -> None:
        """Ask for each patient; a row that breaks the contract is refused."""
        reply = server.ask("/predict/heart?partial=true", [as_asked(row) for row in found])
        assert reply.status == 200, reply.body
        self.answers += reply.json["predictions"]

    def look(self, day: int, after: Sequence[KillPoint]) -> MonitorReport:
        arguments = self.made.defs / "heart", self.home.path, day
        self.die(look, *arguments, after=after)
        run_whole(look, *arguments)
        report = Looks(self.home, "heart").latest()
        assert report is not None
        return report

    def learn(self, truth: list[dict[str, Any]]) -> int:
        """Send the outcomes of the answers; return how many."""
        sent = [
            {"id": answer["id"], "outcome": "true" if row["num"] else "false"}
            for answer, row in zip(self.answers, truth, strict=False)
            if answer["prediction"] is not None
        ]
        dying = start(
            self.home.path,
            code=f"""
from tests.killed_steps import KillPoint, die_after
die_after({RECORDED!r})""",
        )
        with pytest.raises(OSError):  # noqa: PT011 - the connection broke in one of many ways
            dying.ask("/feedback", sent)
        assert dying.process.wait(60) == -signal.SIGKILL
        self.die(bind_outcomes, self.home, after=BOUND)
        run_whole(bind_outcomes, self.home)
        with self.server() as server:
            reply = server.ask("/feedback", sent)
        # The first reply was lost, and the outcomes were not.
        assert {one["status"] for one in reply.json["outcomes"]} == {"repeated"}
        return len(sent)

    def retrain(self) -> None:
        """Let the sensor start the training for its reason, and let its process die."""
        now = datetime.now(UTC)
        steps: tuple[TickStep, ...] = get_args(TickStep)
        for minute, step in enumerate(steps if self.every else steps[-1:]):
            run_killed(tick_sensor, "heart_retrain", now + timedelta(minutes=5 * minute), step)
        run_whole(tick_sensor, "heart_retrain", now + timedelta(minutes=30))
        [run] = self.trainings()
        assert run.tags["dagster/run_key"].startswith("heart:drift-v1-look")
        run_id = run.run_id
        for step in RETRAINED if self.every else RETRAINED[:1]:
            run_killed(work_on, run_id, step=step)
            run_id = retry_dead(run_id)
        run_whole(work_on, run_id)
        run_whole(tick_sensor, "heart_retrain", now + timedelta(minutes=40))
        tried = [run.is_success for run in self.trainings()]
        assert tried == [True, *[False] * (2 if self.every else 1)]

    def trainings(self) -> Sequence[dg.DagsterRun]:
        """Return the runs that were started for a reason, the newest first."""
        with dg.DagsterInstance.get() as instance:
            return [run for run in instance.get_runs() if REASON_TAG in run.tags]


@EVERY
def test_a_drift_from_beginning_to_end(
    every: bool, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = real_data / "heart_disease"
    cleveland, hungary = (
        patients(data / f"processed.{name}.data") for name in ("cleveland", "hungarian")
    )
    story = Story(declare_hospital(tmp_path / "hospital", data, monkeypatch), every)
    with alert_sinks(story.made) as (hook, mail):
        story.train()
        assert story.champion is None
        story.approve(1)
        for part in (hungary[:200], hungary[200:]):
            with story.server() as server:
                story.ask(server, part)
        noticed = story.look(1, LOOK)
        assert (noticed.version, noticed.rows) == (1, answered(story.answers))
        assert noticed.has("drift"), noticed.findings

        sent = story.learn(hungary)
        later = story.look(2, LOOK[1:2])
        assert later.real is not None
        assert later.real.labelled == sent
        assert 0.5 < later.real.metrics["roc_auc"].value < 1

        shutil.copy2(data / "processed.hungarian.data", story.made.defs / "heart/hungary.data")
        with story.server() as server:
            story.retrain()
            assert story.champion == 1
            story.approve(2)
            wait_for_version(server, 2)
        with story.server() as server:
            wait_for_version(server, 2)
            # Now patients of both hospitals come, as in training.
            both = Random(7).sample(cleveland + hungary, 150)
            story.ask(server, both)
        calm = story.look(5, LOOK)
        assert (calm.version, calm.has("drift")) == (2, False)

    # Whoever was told when an alert was sent, but not remembered, hears it again, by the same id.
    times = 2 if every else 1
    told = [(one["kind"], one["state"]) for one in hook.received]
    assert told == [("drift", "open")] * times + [("drift", "over")] * times
    assert len({one["id"] for one in hook.received}) == 2
    heard = [message["Subject"] for message in mail.received]
    assert heard == ["heart@1: drift alarm"] * times + ["heart@1: drift is over"] * times
    assert known_alarms(Looks(story.home, "heart")).open == ()
    require_nothing_lost(story, sent)


def answered(answers: list[dict[str, Any]]) -> int:
    return sum(answer["prediction"] is not None for answer in answers)


def require_nothing_lost(story: Story, sent: int) -> None:
    """Require every answer and outcome, two versions, and a ledger that holds."""
    with PredictionLog(story.home) as log:
        log.collect()
        lost = [one["id"] for one in story.answers if log.find(one["id"]) is None]
    assert lost == []
    summary = outcome_summary(story.home, "heart")
    assert (summary.with_outcome, summary.repeated, summary.corrected) == (sent, sent, 0)
    assert Registry(story.home).versions()["heart"] == (1, 2)
    champions = [one.version for one in entries(story.home, ChampionMade)]
    assert champions == [1, 2]
    assert [one.open for one in entries(story.home, AlarmsChanged)] == [("drift",), ()]
    assert problems(story.home) == []
    code, text = story.made.factory("trace", "heart@2")
    assert code == 0, text
    assert "hungary.data" in text


def entries(home: Home, kind: type[K]) -> list[K]:
    """Return the entries of a kind about the pipeline, the oldest first."""
    subject = kind.subject_of(pipeline="heart")
    with Ledger(home).reading() as log:
        found = [entry_in(log, number) for number in sorted(log.numbers(subject))]
    return [one for one in found if isinstance(one, kind)]


def wait_for_version(server: PredictionServer, version: int) -> None:
    wait_until(lambda: server.ask("/v2/models/heart").json["versions"] == [str(version)])
