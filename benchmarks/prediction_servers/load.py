"""Send one request again and again from several clients, each as soon as it has its answer.

    python -m benchmarks.prediction_servers.load FILE

The file holds a `Load` as JSON. It runs in a process of its own, so that its time is not the
server's. Which servers are compared belongs in `benchmarks.serving`.
"""

import asyncio
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.measure import measure


@dataclass(frozen=True)
class Load:
    """A request, and how it is repeated."""

    port: int
    path: str
    body: str
    """In Latin-1, one character a byte."""
    headers: dict[str, str] = field(default_factory=dict)
    clients: int = 1
    seconds: float = 5.0
    requests: int = sys.maxsize
    """Stop after so many, even if there are seconds left."""

    @property
    def content(self) -> bytes:
        """The bytes that are sent."""
        body = self.body.encode("latin-1")
        headers = {
            "host": f"127.0.0.1:{self.port}",
            "content-type": "application/json",
            "content-length": str(len(body)),
            **self.headers,
        }
        lines = [f"POST {self.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Answered:
    """How the server answered."""

    requests: int
    wall: float
    """Seconds from the first request to the last answer."""
    p50: float
    """Seconds within which half of the answers came."""
    p99: float


def apply(load: Load) -> Answered:
    """Apply the load from another process.

    Raises:
        RuntimeError: an answer had another status than 200.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(asdict(load), file)
        file.flush()
        command = [sys.executable, "-m", "benchmarks.prediction_servers.load", file.name]
        return Answered(**json.loads(measure(command, {}).output.splitlines()[-1]))


async def _send(load: Load) -> Answered:
    connections = [
        await asyncio.open_connection("127.0.0.1", load.port) for _ in range(load.clients)
    ]
    taken: list[float] = []
    started = time.perf_counter()
    await asyncio.gather(*(_repeat(load, *one, started, taken) for one in connections))
    wall = time.perf_counter() - started
    for _, writer in connections:
        writer.close()
    taken.sort()
    count = len(taken)
    return Answered(count, wall, taken[count // 2], taken[int(count * 0.99)])


async def _repeat(
    load: Load,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    started: float,
    taken: list[float],
) -> None:
    content, now = load.content, time.perf_counter()
    while now - started < load.seconds and len(taken) < load.requests:
        writer.write(content)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"{head.decode()}{body.decode(errors='replace')}")
        before, now = now, time.perf_counter()
        taken.append(now - before)


if __name__ == "__main__":
    import uvloop

    sent = Load(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    print(json.dumps(asdict(uvloop.run(_send(sent)))))
