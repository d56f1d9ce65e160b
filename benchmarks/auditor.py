"""The auditor's pages of a home with many versions and answers: server time and bytes of each.

    python -m benchmarks.auditor [ANSWERS [VERSIONS]]

The versions are copies of one that was really trained: their records, entries and registrations
are made as a run makes them. Each page is asked for once before it is measured, as the process of
the front door stays; what the first start takes is a line of its own.
"""

import asyncio
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import yaml

from benchmarks.measure import Result
from benchmarks.tracing import ANSWERS, log_answers
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest, stages_of
from factory_assets.execution.runner import run_stage
from factory_assets.results.base import digest, result_as
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate, Champion
from factory_assets.web.visitor import ALL_ROLES, Visitor, set_visitor
from factory_resources.home.home import Home
from factory_resources.ledger.entries import (
    ChampionMade,
    Kind,
    ModelExported,
    ModelTrained,
    StageComputed,
    VerdictGiven,
)
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log.ids import text
from factory_resources.security.request_guard import App, Message
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry

VERSIONS, ROWS, TOGETHER, ROUNDS = 1_000, 20_000, 100, 7

NAME = "readings"

LONGEST, LARGEST = 0.1, 150_000
"""Seconds and bytes of a page."""

_DECLARATION = {
    "type": "factory_assets.ModelPipeline",
    "attributes": {
        "purpose": "Predict which machines will fail",
        "ingest": {
            "source": {"files": "readings.csv"},
            "contract": [
                {"name": "heat", "type": "float64"},
                {"name": "wear", "type": "float64"},
                {"name": "failed", "type": "string"},
            ],
        },
        "clean": {"where": {"positive": "heat > 0"}},
        "train": {"target": "failed", "model": {"kind": "linear"}},
    },
}


def run(answers: int = ANSWERS, versions: int = VERSIONS) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        places = {"FACTORY_HOME": str(root / "home"), "FACTORY_DEFS": str(root / "defs")}
        with patch.dict(os.environ, places):
            home = Home(root / "home")
            _declare(root / "defs" / NAME)
            pipeline = load_pipeline(root / "defs" / NAME)
            for stage in stages_of(pipeline):
                run_stage(StageRequest(pipeline, stage, home, "benchmark"))
            known = log_answers(home, answers, NAME)
            _copy_versions(home, versions)
            return [*_measured(home, versions, answers, text(known[len(known) // 2]))]


def _declare(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(yaml.safe_dump(_DECLARATION))
    rows = (f"{300 + math.sin(n)},{n % 97},{n % 97 + n * n % 31 > 75}" for n in range(1, ROWS))
    (folder / "readings.csv").write_text("heat,wear,failed\n" + "\n".join(rows) + "\n")


def _copy_versions(home: Home, versions: int) -> None:
    """Add versions until there are so many; every tenth one becomes champion."""
    records, registry = Records(home), Registry(home)
    latest = [records.latest(NAME, stage) for stage in ("train", "evaluate", "deploy")]
    trained, evaluated, deployed = (one for one in latest if one)
    first = registry.version(NAME, 1)
    entries: list[Kind] = []
    for number in range(2, versions + 1):
        made = registry.client.create_model_version(
            NAME, source=first.files.as_uri(), run_id=first.run_id, tags=dict(first.tags)
        )
        assert int(made.version) == number
        entries += _entries(_copies(number, trained, evaluated, deployed), number, records)
        if number % TOGETHER == 0 or number == versions:
            Ledger(home).append(entries)
            entries = []


def _copies(
    number: int, trained: Record, evaluated: Record, deployed: Record
) -> tuple[Record, Record, Record]:
    """Return the records of another version, whose components differ by a seed."""
    candidate = result_as(Candidate, trained).model_copy(update={"version": number})
    train = _copy(trained, number, candidate, {})
    keys = {"train": (train.key,)}
    verdict = result_as(EvaluationResult, evaluated).model_copy(update={"candidate": candidate})
    evaluate = _copy(evaluated, number, verdict, keys)
    keys["evaluate"] = (evaluate.key,)
    champion = result_as(Champion, deployed).model_copy(update={"version": number})
    return train, evaluate, _copy(deployed, number, champion, keys)


def _copy(
    record: Record,
    number: int,
    value: Candidate | EvaluationResult | Champion,
    keys: dict[str, tuple[str, ...]],
) -> Record:
    parts = {**record.parts, "declaration": {"seed": number, "before": record.parts["declaration"]}}
    return record.model_copy(
        update={
            "key": digest(parts),
            "parts": parts,
            "inputs": {**record.inputs, **keys},
            "value": value.model_dump(mode="json"),
            "data_version": value.data_version,
        }
    )


def _entries(made: Sequence[Record], number: int, records: Records) -> Iterator[Kind]:
    for record in made:
        yield StageComputed(
            subject=record.name,
            sha256=records.save(record),
            pipeline=NAME,
            stage=record.stage,
            key=record.key,
            run=record.run_id,
            components={name: digest(part) for name, part in record.parts.items()},
            inputs={stage: digest(keys) for stage, keys in record.inputs.items()},
            tables={},
        )
    train, evaluate, deploy = made
    about = {"pipeline": NAME, "version": number}
    model, graph = str(train.value["digest"]), str(deploy.value["onnx_sha256"])
    yield ModelTrained(
        subject=ModelTrained.subject_of(**about), record=train.name, digest=model, **about
    )
    gates = {gate["name"]: bool(gate["passed"]) for gate in evaluate.value["gates"]}
    yield VerdictGiven(
        subject=VerdictGiven.subject_of(**about),
        record=evaluate.name,
        passed=True,
        gates=gates,
        **about,
    )
    yield ModelExported(
        subject=ModelExported.subject_of(**about), record=deploy.name, graph=graph, **about
    )
    if number % 10 == 0:
        subject = ChampionMade.subject_of(pipeline=NAME)
        yield ChampionMade(subject=subject, record=deploy.name, graph=graph, **about)


def _measured(home: Home, versions: int, answers: int, answer: str) -> Iterator[Result]:
    from factory_assets.web.access_log import AccessLog
    from factory_assets.web.auditor.app import auditor_app

    started = time.perf_counter()
    app = auditor_app(home, AccessLog(home), "benchmark")
    began = time.perf_counter() - started
    among = f"{versions:,} versions and {answers:,} answers"
    yield Result(f"the index of {among}", f"{began:.1f} s", "-", met=True)
    record = Records(home).latest(NAME, "ingest")
    assert record
    source = record.value["sources"][0]["sha256"]
    for path in (
        "/audit",
        f"/audit/{NAME}",
        f"/audit/{NAME}?page={versions // 100 + 1}",
        f"/audit/{NAME}/{versions // 2}",
        f"/audit/{NAME}/diff?from=1&to={versions}",
        f"/audit/answers/{answer}",
        f"/audit/files/{source}?line={ROWS // 2}",
        f"/audit/search?q={source[:9]}",
        f"/audit/search?q={NAME}@",
        "/audit/entries/100",
        f"/audit/ai-act/{NAME}@{versions}",
        "/audit/verify",
    ):
        yield _page(app, path)


def _page(app: App, path: str) -> Result:
    """Measure the time of a page in this process, without a socket."""
    first = time.perf_counter()
    size = asyncio.run(_ask(app, path))
    first = time.perf_counter() - first
    walls, cpus = list[float](), list[float]()
    for _ in range(ROUNDS):
        wall, cpu = time.perf_counter(), time.process_time()
        asyncio.run(_ask(app, path))
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    # The smallest: other load of the machine can only add time.
    fastest = min(walls)
    return Result(
        path if len(path) < 60 else f"{path[:57]}...",
        f"{fastest * 1e3:.0f} ms (CPU {min(cpus) * 1e3:.0f} ms, first {first * 1e3:.0f} ms), "
        f"{size / 1e3:.0f} kB",
        f"<= {LONGEST * 1e3:.0f} ms, {LARGEST / 1e3:.0f} kB",
        fastest <= LONGEST and size <= LARGEST,
    )


async def _ask(app: App, path: str) -> int:
    """Ask for a page, and return its bytes."""
    plain, _, query = path.partition("?")
    scope: Message = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": plain,
        "raw_path": plain.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "scheme": "http",
        "headers": [(b"host", b"127.0.0.1")],
    }
    set_visitor(scope, Visitor("ann", ALL_ROLES, "0" * 64))
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] in {200, 303}, (path, sent)
    return sum(len(message.get("body", b"")) for message in sent)


if __name__ == "__main__":
    for result in run(*map(int, sys.argv[1:])):
        print(result.name, result.measured, result.target, sep=": ")
