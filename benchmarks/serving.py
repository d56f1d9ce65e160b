"""`factory serve` beside other servers, and beside its graph alone.

    python -m benchmarks.serving

All sides alternate in slices of a few seconds, so that other load hits all of them, and medians are
compared. CPU time is that of the server's processes; of the factory's, the filling of the
prediction log's database is part, because a slice is as long as the time between two of them.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.measure import Result
from benchmarks.prediction_servers.batches import batches
from benchmarks.prediction_servers.feeds import preparation
from benchmarks.prediction_servers.footprint import footprint
from benchmarks.prediction_servers.home import (
    CHAMPIONS,
    MILLING,
    TUMOURS,
    Champion,
    champion,
    make_home,
    places_of,
)
from benchmarks.prediction_servers.load import Answered, apply
from benchmarks.prediction_servers.process import serving
from benchmarks.prediction_servers.servers import (
    FACTORY,
    FASTAPI,
    MLFLOW,
    Asked,
    all_servers,
    factory_command,
)

_SLICE, _ROUNDS = 5.0, 3

_CLIENTS = (1, 8)

_CPU = ((FASTAPI, 1, 1.5), (FASTAPI, 8, 1.0), (MLFLOW, 1, 1 / 3), (MLFLOW, 8, 1 / 3))
"""Server, clients, and how much of its CPU time the factory may take."""

_BATCH = 256

_DERIVING = 1e-4
"""CPU seconds a row."""


@dataclass(frozen=True)
class _Slice:
    """How one server answered for a few seconds."""

    answered: Answered
    cpu: float
    """Its CPU seconds a request."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered.requests / self.answered.wall


_Slices = Mapping[tuple[str, int], Sequence[_Slice]]
"""By server and clients."""


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        home = make_home(root)
        champions = [champion(name, home, root, _BATCH) for name in CHAMPIONS]
        return [*_results({one.name: one for one in champions}, root)]


def _results(champions: Mapping[str, Champion], root: Path) -> Iterator[Result]:
    milling = champions[MILLING]
    with all_servers(milling, root) as servers:
        slices = _alternate(servers)
    yield from _compare_cpu(slices)
    yield from _compare_answers(slices)
    path, places = f"/predict/{MILLING}", places_of(milling.home)
    with serving(factory_command(), path, milling.row, places) as server:
        for name in (MILLING, TUMOURS):
            yield from batches(server, champions[name], root)
    yield _deriving(milling)
    yield from footprint([*champions.values()])


def _alternate(servers: Mapping[str, Asked]) -> _Slices:
    found: dict[tuple[str, int], list[_Slice]] = {
        (name, clients): [] for clients in _CLIENTS for name in servers
    }
    for _ in range(_ROUNDS):
        for (name, clients), slices in found.items():
            server = servers[name].server
            before = server.cpu
            answered = apply(replace(servers[name].load, clients=clients, seconds=_SLICE))
            slices.append(_Slice(answered, (server.cpu - before) / answered.requests))
    return found


def _compare_cpu(slices: _Slices) -> Iterator[Result]:
    for other, clients, target in _CPU:
        own, theirs = (
            median(one.cpu for one in slices[name, clients]) * 1e3 for name in (FACTORY, other)
        )
        yield Result(
            f"one row a request, {clients} client{'s' * (clients > 1)}",
            f"server CPU {own / theirs:.2f}x of {other} ({own:.3f} / {theirs:.3f} ms)",
            f"<= {target:.2g}x",
            own / theirs <= target,
        )


def _compare_answers(slices: _Slices) -> Iterator[Result]:
    """Compare throughput and latency, with as many clients as were measured at most."""
    clients = max(_CLIENTS)
    own, own_p99 = _answers(slices[FACTORY, clients])
    for name in dict.fromkeys(name for name, _ in slices if name not in {FACTORY, FASTAPI}):
        theirs, their_p99 = _answers(slices[name, clients])
        yield Result(
            f"one row a request, {clients} clients, beside {name}",
            f"{own:,.0f} / {theirs:,.0f} answers a second, p99 {own_p99:.1f} / {their_p99:.1f} ms",
            "more a second, lower p99",
            own > theirs and own_p99 < their_p99,
        )


def _answers(slices: Sequence[_Slice]) -> tuple[float, float]:
    """Return answers a second, and milliseconds within which 99 % of them came."""
    return median(one.rate for one in slices), median(one.answered.p99 for one in slices) * 1e3


def _deriving(milling: Champion) -> Result:
    declared, without = preparation(milling)
    return Result(
        f"rules and derived columns, {milling.name}",
        f"{(declared - without) * 1e3:.4f} CPU ms a row",
        f"<= {_DERIVING * 1e3:g} ms",
        declared - without <= _DERIVING,
    )


if __name__ == "__main__":
    for result in run():
        print(result.name, result.measured, result.target, sep=": ")
