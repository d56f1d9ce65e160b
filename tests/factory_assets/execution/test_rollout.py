"""A roll-out begins instead of a new champion, and ends once, whoever ends it."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.deployed_version import deployed_version
from factory_assets.execution.rollout import (
    Ending,
    Rollout,
    begin_serving,
    end_rollout,
    mirror_promotion,
)
from factory_assets.execution.rollout_evidence import Batch
from factory_assets.execution.rollout_file import share
from factory_assets.execution.standing import Standing, standing
from factory_assets.execution.standing_text import standing_text
from factory_assets.spec import Pipeline
from factory_assets.web.pages.state_reader import read_state
from factory_resources.home.home import PROJECT
from factory_resources.ledger.ledger import Ledger, entry_in
from factory_resources.ledger.rollout_entries import RolloutCounts
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry
from tests.approvals import Factory, copy_factory, declare_factory
from tests.ledger import problems
from tests.long_run import in_long
from tests.pipelines import enter
from tests.rollouts import begin_rollout, champion, endings, goes_on

pytestmark = pytest.mark.slow

CANARY = {"canary": {"share": "10%", "for": "1min", "answers": 20}}

ENOUGH = Batch(answers=20)
BAD = Batch(answers=100, failures=50)


@pytest.fixture(scope="module")
def rolling(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """A home in which version 1 serves and version 2 rolls out."""
    made = declare_factory(tmp_path_factory.mktemp("rolling") / "root")
    with pytest.MonkeyPatch.context() as patch:
        enter(made.root, patch)
        # A minute is too long for a test.
        patch.setattr("factory_assets.execution.rollout.seconds_of", lambda _: 0)
        made.declare(approval=None, rollout=CANARY)
        assert "v1" in made.run()
        assert champion(made.home) == 1
        assert goes_on(made.home) is None
        made.declare(seed=8, approval=None, rollout=CANARY)
        made.run()
    return made


@pytest.fixture
def made(rolling: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    return copy_factory(rolling, tmp_path / "root", monkeypatch)


@pytest.fixture
def rollout(made: Factory) -> Rollout:
    found = goes_on(made.home)
    assert found is not None
    return found


def stands(made: Factory) -> tuple[Standing, str]:
    """Return what holds for the version that was exported last, and its text."""
    record = Records(made.home).latest("apples", "deploy")
    assert record is not None
    found = standing(load_pipeline(made.defs / "apples"), record, made.home)
    return found, standing_text(found, "apples", int(record.value["version"]), made.home)


def without_alias(made: Factory) -> list[str]:
    """Return what does not hold but for MLflow's alias, which follows in its own time."""
    return [one for one in problems(made.home) if "MLflow's alias" not in one]


def test_versions_that_come_faster_than_they_roll_out_are_told(made: Factory) -> None:
    def told() -> list[str]:
        pipeline = load_pipeline(made.defs / "apples")
        with Ledger(made.home).reading() as log:
            troubles = read_state(pipeline, log, made.home).troubles
        return [detail for one in troubles for detail in one.details]

    for seed in (9, 10):
        made.declare(seed=seed, approval=None, rollout=CANARY)
        made.run()
    assert told() == []
    made.declare(seed=11, approval=None, rollout=CANARY)
    made.run()
    [detail] = told()
    assert "replaced each of the last 3" in detail
    assert "deploy.canary.for" in detail
    ongoing = goes_on(made.home)
    assert ongoing is not None
    assert end_rollout(ongoing, Ending("promoted"), made.home)
    assert told() == []


def test_a_version_rolls_out_beside_the_champion_and_runs_say_so(
    made: Factory, rollout: Rollout
) -> None:
    started = rollout.started
    assert (started.version, started.champion, started.mode) == (2, 1, "canary")
    assert (started.share, started.answers) == (1_000, 20)
    found, text = stands(made)
    assert found.status == "rolls out"
    assert "rolls out to 10 % of the callers, beside version 1" in text
    assert text.endswith("; 0 answers so far, its time is over and 20 are missing")
    assert share(rollout, Batch(answers=7), made.home) is None
    assert stands(made)[1].endswith("; 7 answers so far, its time is over and 13 are missing")
    for _ in range(2):
        said = made.run()
        assert "rolls out to 10 % of the callers" in said
        assert "reused" in said
    assert goes_on(made.home) == rollout
    assert Registry(made.home).alias("apples") == champion(made.home) == 1
    assert problems(made.home) == []


def test_a_promoted_version_is_champion_by_the_next_entry(made: Factory, rollout: Rollout) -> None:
    ending = share(rollout, ENOUGH, made.home)
    assert ending is not None
    assert ending.outcome == "promoted"
    assert champion(made.home) == 2
    with Ledger(made.home).reading() as log:
        last = [entry_in(log, log.size - place).kind for place in (2, 1)]
    assert last == ["rollout_ended", "champion"]
    mirror = mirror_promotion("apples", made.home)
    assert mirror is not None
    assert mirror.wait(300) == 0
    assert Registry(made.home).alias("apples") == 2
    assert mirror_promotion("apples", made.home) is None
    assert "nothing changed" in made.run()
    assert problems(made.home) == []


def test_a_version_that_was_rolled_back_is_not_tried_again(made: Factory, rollout: Rollout) -> None:
    ending = share(rollout, BAD, made.home)
    assert ending is not None
    assert ending.outcome == "rolled back"
    for _ in range(2):
        assert "was rolled back" in made.run()
    found, text = stands(made)
    assert found.status == "rolled back"
    assert "it did not answer 50 of 100 requests" in text
    assert goes_on(made.home) is None
    assert champion(made.home) == 1
    assert problems(made.home) == []


def test_a_newer_version_takes_the_place_of_one_that_rolls_out(
    made: Factory, rollout: Rollout
) -> None:
    made.declare(seed=9, approval=None, rollout={"shadow": {"for": "1h"}})
    made.run()
    [ended] = endings(made.home, rollout)
    assert ended.outcome == "replaced"
    now = goes_on(made.home)
    assert now is not None
    assert (now.started.version, now.started.champion) == (3, 1)
    assert (now.started.mode, now.started.share, now.started.seconds) == ("shadow", 0, 3_600)
    assert "rolls out as a shadow" in stands(made)[1]
    assert problems(made.home) == []


def test_a_person_ends_it_and_the_version_is_not_tried_again(
    made: Factory, rollout: Rollout
) -> None:
    code, text = made.factory("rollback", "apples", "--reason", "worse at night")
    assert code == 0, text
    assert "the roll-out of apples@2 was ended" in text
    [ended] = endings(made.home, rollout)
    assert (ended.outcome, ended.statement is not None) == ("ended by a person", True)
    assert "was rolled back (entry" in made.run()
    assert stands(made)[1].endswith(": worse at night")
    assert problems(made.home) == []
    # Nothing rolls out any more, and version 1 replaced no other one.
    code, text = made.factory("rollback", "apples", "--reason", "again")
    assert (code, "it replaced no other version" in text) == (1, True), text


@pytest.mark.parametrize("end", ["promoted", "rolled back", "ended by a person"])
def test_the_evidence_of_a_version_has_its_roll_out(
    end: str, made: Factory, rollout: Rollout, tmp_path: Path
) -> None:
    if end == "ended by a person":
        assert made.factory("rollback", "apples", "--reason", "worse at night")[0] == 0
    else:
        share(rollout, ENOUGH if end == "promoted" else BAD, made.home)
    assert endings(made.home, rollout)[0].outcome == end
    archive = str(tmp_path / "evidence.zip")
    assert made.factory("evidence", "apples@2", "--out", archive)[0] == 0
    code, text = made.factory("verify", archive)
    assert (code, "1 roll-out" in text) == (0, True), text


def test_what_is_stopped_is_not_promoted(made: Factory, rollout: Rollout) -> None:
    assert made.factory("stop", "apples", "--reason", "odd answers")[0] == 0
    assert share(rollout, ENOUGH, made.home) is None
    assert goes_on(made.home) == rollout
    assert made.factory("resume", "apples", "--reason", "mended")[0] == 0
    assert share(rollout, Batch(), made.home) is not None
    assert champion(made.home) == 2
    assert without_alias(made) == []


def test_who_still_sees_an_earlier_roll_out_does_not_end_a_later_one(
    made: Factory, rollout: Rollout
) -> None:
    ending = Ending("rolled back", "odd answers")
    assert end_rollout(rollout, ending, made.home)
    later = begin_rollout(made)
    assert not end_rollout(rollout, ending, made.home)
    assert goes_on(made.home) == later


def begins(made: Factory, version: int, *, declared: bool = True) -> list[str]:
    """Return the kinds of the entries by which a version would begin to serve."""
    pipeline = load_pipeline(made.defs / "apples")
    if not declared:
        deploy = pipeline.spec.deploy.model_copy(update={"canary": None})
        spec = pipeline.spec.model_copy(update={"deploy": deploy})
        pipeline = Pipeline(pipeline.name, spec, pipeline.folder)
    with Ledger(made.home).reading() as log:
        deployed = deployed_version(log, "apples", version, made.home)
        return [one.kind for one in begin_serving(log, pipeline, deployed.value, deployed.record)]


def test_an_earlier_version_rolls_out_as_a_newer_one_does(made: Factory, rollout: Rollout) -> None:
    assert begins(made, 1) == ["champion"], "it serves already"
    assert begins(made, 2) == ["rollout_ended", "rollout"]
    assert begins(made, 2, declared=False) == ["rollout_ended", "champion"]
    assert share(rollout, ENOUGH, made.home) is not None
    assert begins(made, 1) == ["rollout"]


def test_of_many_that_decide_at_once_one_does(made: Factory, rollout: Rollout) -> None:
    outcomes = [Ending("promoted", "x", RolloutCounts(answers=20)), Ending("rolled back", "y")]
    with ThreadPoolExecutor(8) as threads:
        ended = [*threads.map(lambda i: end_rollout(rollout, outcomes[i % 2], made.home), range(8))]
    assert sum(ended) == 1
    [entry] = endings(made.home, rollout)
    assert champion(made.home) == (2 if entry.outcome == "promoted" else 1)
    assert not end_rollout(rollout, outcomes[0], made.home)


_DIES = """
import os, signal, sys
from pathlib import Path
from factory_assets.execution import rollout_file
from factory_assets.execution.rollout import ongoing_rollout, mirror_promotion, Rollout
from factory_assets.execution.rollout_evidence import Batch
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.log import Log

owner = {"write_atomic": Home, "append": Log, "unlink": Path}[sys.argv[1]]
original = getattr(owner, sys.argv[1])

def killed(*arguments, **options):
    if sys.argv[2] == "after":
        original(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, sys.argv[1], killed)
home = Home.from_env()
with Ledger(home).reading() as log:
    rollout = ongoing_rollout(log, "apples")
rollout_file.share(rollout, Batch(answers=100, failures=int(sys.argv[3])), home)
"""


@pytest.mark.parametrize("failures", [0, pytest.param(50, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("step", "when", "is_over"),
    [
        ("write_atomic", "before", False),
        ("append", "after", True),
        ("unlink", "before", True),
        *in_long(
            [
                ("write_atomic", "after", False),
                ("append", "before", False),
            ]
        ),
    ],
)
def test_killed_at_a_step_it_goes_on_or_is_over(
    step: str, when: str, is_over: bool, failures: int, made: Factory, rollout: Rollout
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _DIES, step, when, str(failures)],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (goes_on(made.home) is None) == is_over
    assert champion(made.home) == (2 if is_over and not failures else 1)
    # Whoever looks next decides as if nobody had died.
    share(rollout, Batch(answers=100, failures=failures), made.home)
    [ended] = endings(made.home, rollout)
    assert ended.outcome == ("rolled back" if failures else "promoted")
    assert champion(made.home) == (1 if failures else 2)
    assert without_alias(made) == []
