"""Traces among many answers: one answer back to its sources, and one row forward to its answers.

    python -m benchmarks.tracing [ANSWERS]

Each trace is a function call: the start of the interpreter and its imports are left out. Three of
four answers are of the version that the row trained; the others are of another pipeline, in the
same blocks.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measure import Result, machine_failure
from factory_assets.audit.trace.answer.finding import find_answer
from factory_assets.audit.trace.answer.trace import trace_answer
from factory_assets.audit.trace.trace import trace
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest, stages_of
from factory_assets.execution.runner import run_stage
from factory_resources.home.home import Home
from factory_resources.prediction_log.ids import PredictionIds, text
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import PredictionRecord, encode
from factory_resources.tracking.records import Records

ANSWERS, STEP, TOGETHER, ROWS, TRACED = 10_000_000, 1_000_000, 1000, 20_000, 50

NAME = "machine_failure"

_EXAMPLES = 1000
"""Different records, which are logged in turn."""


def run(answers: int = ANSWERS) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        folder = machine_failure(Path(name), NAME, ROWS)
        home = Home(Path(name) / "home")
        pipeline = load_pipeline(folder)
        for stage in stages_of(pipeline):
            run_stage(StageRequest(pipeline, stage, home, "benchmark"))
        started = time.perf_counter()
        known = log_answers(home, answers)
        filled = time.perf_counter() - started
        print(f"{answers:,} answers were logged in {filled:.0f} s", file=sys.stderr)
        folders = {NAME: folder}

        def back(verify: bool) -> Callable[[str], None]:
            def one(identifier: str) -> None:
                found = find_answer(identifier, home)
                traced = trace_answer(found, home, folders=folders, verify=verify)
                assert traced.lineage
                assert traced.lineage.sources
                assert not traced.problems

            return one

        source = Records(home).latest(NAME, "ingest")
        assert source
        digest = source.value["sources"][0]["sha256"]

        def forward(row: str) -> None:
            traced = trace(
                f"sha256:{digest}", home, row=row, folders=folders, verify=False, answer_ids=20
            )
            [use] = traced.fates[0].models
            assert use.answers
            assert use.answers.count == answers - answers // 4
            assert len(use.answers.ids) == 20

        draw = random.Random(1)
        chosen = [text(one) for one in draw.choices(known, k=TRACED)]
        rows = [str(draw.randrange(1, ROWS)) for _ in range(TRACED // 5)]
        among = f"among {answers:,} answers"
        return [
            _timed(f"back from one {among}", back(False), chosen, 0.1),
            _timed(f"back from one {among}, every file read", back(True), chosen, None),
            _timed(f"forward from one row {among}", forward, rows, 2.0),
        ]


def log_answers(home: Home, answers: int, pipeline: str = NAME) -> list[bytes]:
    """Log answers and collect them; return the ids of some of the first version of a pipeline."""
    records = [_records(name) for name in (pipeline, "another")]
    known = list[bytes]()
    with PredictionLog(home) as log:
        for first in range(0, answers, STEP):
            journal, ids = log.journal(), PredictionIds()
            for start in range(first, min(first + STEP, answers), TOGETHER):
                for number in range(start, min(start + TOGETHER, answers)):
                    identifier = ids.take()
                    journal.append(identifier, records[number % 4 == 3][number % _EXAMPLES])
                    if number % TOGETHER == 0:
                        known.append(identifier)
                journal.flush()
            journal.close()
            log.collect()
    return known


def _records(pipeline: str) -> list[bytes]:
    draw, now = random.Random(7), time.time_ns() // 1000

    def one(number: int) -> PredictionRecord:
        measures = {
            name: round(draw.uniform(0, 300), 2) for name in ("air", "process", "torque", "wear")
        }
        return PredictionRecord(
            time=now + number,
            duration=draw.randrange(400, 2000),
            pipeline=pipeline,
            version=1,
            caller="maintenance",
            protocol="plain",
            kind="answer",
            status=200,
            rows=1,
            input=str([measures]).replace("'", '"').encode(),
            output=b'{"predictions": ["0"], "probabilities": [[0.75, 0.25]]}',
        )

    return [encode(one(number)) for number in range(_EXAMPLES)]


def _timed(
    name: str, act: Callable[[str], None], subjects: Sequence[str], limit: float | None
) -> Result:
    """Measure a call for each subject, after one that imports what it needs."""
    act(subjects[0])
    taken = list[float]()
    for subject in subjects:
        started = time.perf_counter()
        act(subject)
        taken.append(time.perf_counter() - started)
    middle = statistics.median(taken)
    return Result(
        name,
        f"{middle * 1e3:.1f} ms (slowest of {len(taken)}: {max(taken) * 1e3:.1f})",
        f"<= {limit * 1e3:g} ms" if limit else "",
        limit is None or middle <= limit,
    )


if __name__ == "__main__":
    for result in run(*map(int, sys.argv[1:])):
        print(result.name, result.measured, result.target, sep=": ")
