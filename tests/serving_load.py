"""Several clients of a prediction server at once, and what each of them was answered."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from factory_assets.ml.artifacts.onnx_model import load_served
from factory_assets.serving.online.served_model import ServedModel
from factory_resources.home.home import Home
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tracking.registry import Registry
from tests.serving import PredictionServer

CLIENTS = 8


@dataclass(frozen=True)
class Answer:
    """One row, and what a client received for it."""

    row: dict[str, Any]
    version: int
    id: str
    prediction: str
    probabilities: dict[str, float]


@dataclass
class Load:
    """What the clients received so far."""

    answers: list[Answer] = field(default_factory=list)
    refusals: list[tuple[int, str]] = field(default_factory=list)
    """Status and line of what was not answered with 200."""
    broken: list[str] = field(default_factory=list)
    """Errors of connections."""
    _stopped: threading.Event = field(default_factory=threading.Event)

    def ask(self, server: PredictionServer, seed: int) -> None:
        """Ask one request after the other on one connection, until the load is stopped."""
        random = Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        while not self._stopped.is_set():
            rows, query = _request(random)
            body = json.dumps(rows if len(rows) > 1 else rows[0]).encode()
            try:
                connection.request(
                    "POST", f"/predict/apples{query}", body, {"content-type": "application/json"}
                )
                reply = connection.getresponse()
                content = json.loads(reply.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.broken.append(repr(error))
                connection.close()
                if server.process.poll() is not None:
                    return
                continue
            if reply.status == 200:
                self.answers += _answers(rows, content)
            else:
                self.refusals.append((reply.status, content["error"]))
        connection.close()


def _request(random: Random) -> tuple[list[dict[str, Any]], str]:
    """Return rows and parameters: most rows are scored without the engine, some with it."""
    count = random.choice([1, 1, 1, 1, 3])
    rows: list[dict[str, Any]] = [
        {"size": round(random.uniform(0.1, 7), 6), "colour": random.choice(["red", "green"])}
        for _ in range(count)
    ]
    match random.randrange(20):
        case 0:
            return [{**row, "size": str(row["size"])} for row in rows], ""
        case 1:
            return rows, "?explain=true"
        case _:
            return rows, ""


def _answers(rows: list[dict[str, Any]], content: dict[str, Any]) -> list[Answer]:
    entries = content["predictions"] if len(rows) > 1 else [content]
    return [
        Answer(row, content["version"], entry["id"], entry["prediction"], entry["probabilities"])
        for row, entry in zip(rows, entries, strict=True)
    ]


@contextmanager
def load(server: PredictionServer, clients: int = CLIENTS, seed: int = 0) -> Iterator[Load]:
    """Let clients ask for the block, and wait for their last answers."""
    running = Load()
    threads = [
        threading.Thread(target=running.ask, args=(server, clients * seed + i), daemon=True)
        for i in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield running
    finally:
        running._stopped.set()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)


def require_logged(home: Home, answers: list[Answer]) -> None:
    """Require that each answer is in the log once, as it was given, also after it was collected."""
    assert len({answer.id for answer in answers}) == len(answers)
    with PredictionLog(home) as log:
        for answer in answers[-3:]:
            _require(log, answer)
        log.collect()
        stored = log.database.counts()["apples"]
        assert log.collect() == 0
        assert log.database.counts()["apples"] == stored
        for answer in answers:
            assert _require(log, answer) == "database"


def _require(log: PredictionLog, answer: Answer) -> str:
    found = log.find(answer.id)
    assert found is not None, answer
    record = found.record
    output = json.loads(record.output)
    assert record.version == answer.version
    assert output["predictions"][found.row] == answer.prediction
    assert output["probabilities"][found.row] == [*answer.probabilities.values()]
    assert json.loads(record.input)[found.row] == answer.row
    return found.place


def require_right(home: Home, answers: list[Answer]) -> None:
    """Require that each answer is that of the version which it names."""
    registry = Registry(home)
    for version in {answer.version for answer in answers}:
        model = load_served(registry, registry.version("apples", version))
        served = ServedModel("apples", version, model, home)
        own = [answer for answer in answers if answer.version == version]
        outputs = served.score([answer.row for answer in own]).outputs.tolist()
        served.close()
        assert [[*answer.probabilities.values()] for answer in own] == outputs
