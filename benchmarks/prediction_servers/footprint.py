"""How soon `factory serve` answers, and how much memory it takes."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from benchmarks.measure import Result
from benchmarks.prediction_servers.home import Champion, places_of
from benchmarks.prediction_servers.load import Load, apply
from benchmarks.prediction_servers.process import Server, serving
from benchmarks.prediction_servers.servers import factory_command

_STARTS, _SECONDS = 5, 1.5

_REQUESTS, _MEGABYTES = 1_000, 150


def footprint(champions: Sequence[Champion]) -> Iterator[Result]:
    """Start a server for the champions, several times, and ask each of them often."""
    starts = []
    for _ in range(_STARTS):
        with _started(champions[0]) as server:
            starts.append((server.seconds, server.cpu))
    seconds, cpu = min(starts)
    yield Result(
        f"start to first answer, {len(champions)} champions",
        f"{seconds:.2f} s ({cpu:.2f} CPU s)",
        f"<= {_SECONDS:g} s",
        seconds <= _SECONDS,
    )
    with _started(champions[0]) as server:
        for champion in champions:
            body = champion.row.decode("latin-1")
            path = f"/predict/{champion.name}"
            apply(Load(server.port, path, body, seconds=60, requests=_REQUESTS))
        used, private = server.megabytes, server.private_megabytes
    yield Result(
        f"memory, {len(champions)} champions after {_REQUESTS:,} requests each",
        f"{used:.0f} MB, {private:.0f} MB of them private",
        f"<= {_MEGABYTES} MB",
        used <= _MEGABYTES,
    )


def _started(champion: Champion) -> AbstractContextManager[Server]:
    path, places = f"/predict/{champion.name}", places_of(champion.home)
    return serving(factory_command(), path, champion.row, places)
