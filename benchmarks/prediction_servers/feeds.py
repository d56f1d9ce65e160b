"""The arrays that a champion's graph reads, and what it costs to make them from rows.

    python -m benchmarks.prediction_servers.feeds GRAPH ARRAYS SECONDS

scores the arrays of a file again and again with the graph alone, and prints how many rows that are
a second, and a CPU second.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.prediction_servers.home import Champion


def feed_of(champion: Champion) -> Mapping[str, Any]:
    """Return the arrays for all rows, each [rows, 1]."""
    compiled, rows = _compiled(champion)
    feed: Mapping[str, Any] = compiled.feed(rows)
    return feed


def preparation(champion: Champion, repeats: int = 5, calls: int = 5_000) -> tuple[float, float]:
    """Return the CPU seconds of preparing one row: as declared, and with nothing derived."""
    compiled, rows = _compiled(champion)
    derived = {name for name, _ in compiled.derived}
    numbers = tuple(one for one in compiled.numbers if one[1] not in derived)
    bare = replace(compiled, rules=(), derived=(), numbers=numbers)
    single = [[row] for row in rows]
    taken = [[_cpu(c.feed, single, calls) for c in (compiled, bare)] for _ in range(repeats)]
    declared, without = (min(column) for column in zip(*taken, strict=True))
    return declared, without


def _compiled(champion: Champion) -> tuple[Any, list[tuple[Any, ...]]]:
    """Return a champion's compiled preparation, and the checked values of its rows."""
    from factory_assets.ml.artifacts.onnx_model import OnnxModel
    from factory_assets.serving.online.compiled_rows import CompiledRows

    compiled = CompiledRows.of(OnnxModel.of(champion.graph.read_bytes()))
    assert compiled is not None
    rows = compiled.schema.decoder.decode(champion.batch)
    return compiled, [compiled.schema.values(row) for row in rows]


def _cpu(act: Callable[[Any], object], given: Sequence[Any], calls: int) -> float:
    started = time.process_time()
    for number in range(calls):
        act(given[number % len(given)])
    return (time.process_time() - started) / calls


def save(feed: Mapping[str, Any], file: Path) -> None:
    """Write the arrays, texts without pickle."""
    np.savez(file, **{n: a.astype(str) if a.dtype == object else a for n, a in feed.items()})


def _score_alone(graph: str, file: str, seconds: float) -> tuple[float, float]:
    """Return the rows a second and a CPU second of the graph in one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    with np.load(file) as arrays:
        feed = {
            n: arrays[n].astype(object) if arrays[n].dtype.kind == "U" else arrays[n]
            for n in arrays
        }
    rows = len(next(iter(feed.values())))
    session.run(None, feed)
    calls, started, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        session.run(None, feed)
        calls += 1
    used = time.process_time() - cpu
    return calls * rows / (time.perf_counter() - started), calls * rows / used


if __name__ == "__main__":
    print(*_score_alone(sys.argv[1], sys.argv[2], float(sys.argv[3])))
