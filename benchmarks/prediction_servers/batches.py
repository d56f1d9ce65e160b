"""Many rows in one request, in rows a second, beside the graph alone on arrays that are ready."""

import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.measure import Result, measure
from benchmarks.prediction_servers.feeds import feed_of, save
from benchmarks.prediction_servers.home import Champion
from benchmarks.prediction_servers.load import Load, apply
from benchmarks.prediction_servers.process import Server

_RATIO = 0.6

_SECONDS, _ROUNDS, _CLIENTS = 2.0, 5, 4

_ALONE = "the graph alone"


class _Rate(NamedTuple):
    """Rows scored."""

    wall: float
    """A second."""
    cpu: float
    """A CPU second of the server."""


def batches(server: Server, champion: Champion, folder: Path) -> Iterator[Result]:
    """Compare JSON and binary tensors with the graph alone, for all rows of a champion."""
    arrays = folder / f"{champion.name}.npz"
    save(feed_of(champion), arrays)
    loads = {
        "JSON": _load(server, f"/predict/{champion.name}", champion.batch, {}),
        "binary tensors": _load(server, f"/v2/models/{champion.name}/infer", *_tensors(champion)),
    }
    rates: dict[str, list[_Rate]] = {name: [] for name in (_ALONE, *loads)}
    for _ in range(_ROUNDS):
        rates[_ALONE].append(_alone(champion, arrays))
        for name, load in loads.items():
            rates[name].append(_served(server, load, len(champion.rows)))
    best = _median(rates[_ALONE])
    for name in loads:
        own = _median(rates[name])
        yield Result(
            f"{len(champion.rows)} rows a request, {name}, {champion.name}",
            f"{own.wall / best.wall:.2f}x of {_ALONE} ({own.wall:,.0f} / {best.wall:,.0f} rows a "
            f"second), by server CPU {own.cpu / best.cpu:.2f}x",
            f">= {_RATIO:g}x",
            own.wall / best.wall >= _RATIO,
        )


def _median(rates: list[_Rate]) -> _Rate:
    return _Rate(median(one.wall for one in rates), median(one.cpu for one in rates))


def _load(server: Server, path: str, body: bytes, headers: dict[str, str]) -> Load:
    text = body.decode("latin-1")
    return Load(server.port, path, text, headers, clients=_CLIENTS, seconds=_SECONDS)


def _served(server: Server, load: Load, rows: int) -> _Rate:
    before = server.cpu
    answered = apply(load)
    scored = answered.requests * rows
    return _Rate(scored / answered.wall, scored / (server.cpu - before))


def _alone(champion: Champion, arrays: Path) -> _Rate:
    module = "benchmarks.prediction_servers.feeds"
    given = [str(champion.graph), str(arrays), str(_SECONDS)]
    used = measure([sys.executable, "-m", module, *given], {})
    return _Rate(*map(float, used.output.splitlines()[-1].split()))


def _tensors(champion: Champion) -> tuple[bytes, dict[str, str]]:
    """Return the body of a request with one tensor a column, and its headers."""
    import numpy as np
    import tritonclient.http as triton

    inputs = []
    for name, first in champion.rows[0].items():
        cells = [row[name] for row in champion.rows]
        values = np.array(cells, dtype=object if isinstance(first, str) else None)
        datatype = {"O": "BYTES", "i": "INT64", "f": "FP64"}[values.dtype.kind]
        tensor = triton.InferInput(name, [len(cells)], datatype)
        tensor.set_data_from_numpy(values, binary_data=True)
        inputs.append(tensor)
    body, length = triton.InferenceServerClient.generate_request_body(inputs)
    return body, {"inference-header-content-length": str(length)}
