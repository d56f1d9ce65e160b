"""What a packed model adds to bare onnxruntime: bytes on the disk, and time to the first answer.

python -m benchmarks.edge PACK ROWS    (one row after the other in one process)

Both sides start a Python, load the same graph and compute one row; the packed one also checks the
contract, computes derived columns, and makes the answer durable in its signed log.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import FACTORY, Result, Usage, machine_failure, measure

ROWS, ROUNDS = 500, 9
ADDED, RATIO, PER_ROW = 100_000, 1.35, 1.0
"""Bytes beside the graph, wall time relative to bare onnxruntime, CPU milliseconds of a row."""

ROW = {
    "air_temperature": 300.1,
    "process_temperature": 310.2,
    "speed": 1500,
    "torque": 40.5,
    "tool_wear": 30,
    "type": "L",
}

_BARE = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
feed = {
    given.name: numpy.array([["L"]], object) if given.type == "tensor(string)"
    else numpy.ones((1, 1), numpy.float32)
    for given in session.get_inputs()
}
print(session.run(None, feed)[0])
"""


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        machine_failure(root / "defs", "machines", 10_000)
        home = {"FACTORY_HOME": str(root / "home"), "FACTORY_DEFS": str(root / "defs")}
        measure([FACTORY, "run", "machines"], home)
        pack = root / "pack"
        measure([FACTORY, "pack", "machines", "--edge", "--out", str(pack)], home)
        (root / "row.jsonl").write_text(json.dumps(ROW) + "\n", encoding="utf-8")
        return [_size(pack), _cold_start(pack, root / "row.jsonl"), _single_rows(pack)]


def _size(pack: Path) -> Result:
    sizes = {path.name: path.stat().st_size for path in pack.iterdir()}
    graph = sizes.pop("model.onnx")
    added = sum(sizes.values())
    return Result(
        "a packed model, size",
        f"{added / 1000:.1f} kB beside the graph of {graph / 1000:.1f} kB",
        f"<= {ADDED / 1000:g} kB beside the graph",
        added <= ADDED,
    )


def _cold_start(pack: Path, row: Path) -> Result:
    python = [sys.executable, "-I"]
    commands = {
        "bare": [*python, "-c", _BARE, str(pack / "model.onnx")],
        "pack": [*python, str(pack / "score.py"), str(row)],
    }
    runs: dict[str, list[Usage]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        # They alternate, so that other load hits both.
        for name, command in commands.items():
            runs[name].append(measure(command, {}))
    wall = {name: statistics.median(run.wall for run in runs[name]) for name in runs}
    cpu = {name: statistics.median(run.cpu for run in runs[name]) for name in runs}
    ratio = wall["pack"] / wall["bare"]
    return Result(
        "a packed model, from start to end of its first answer",
        f"wall {ratio:.2f}x ({1000 * wall['pack']:.0f} / {1000 * wall['bare']:.0f} ms), "
        f"CPU {1000 * cpu['pack']:.0f} / {1000 * cpu['bare']:.0f} ms",
        f"wall <= {RATIO}x bare onnxruntime",
        ratio <= RATIO,
    )


def _single_rows(pack: Path) -> Result:
    command = [sys.executable, "-m", "benchmarks.edge", str(pack), str(ROWS)]
    report = json.loads(measure(command, {}).output.splitlines()[-1])
    return Result(
        f"a packed model, {ROWS} single rows, each durable",
        f"CPU {report['cpu']:.3f} ms a row (onnxruntime alone {report['bare']:.3f}), "
        f"wall {report['wall']:.3f}",
        f"CPU <= {PER_ROW:g} ms a row",
        report["cpu"] <= PER_ROW,
    )


def score_rows(pack: Path, rows: int) -> dict[str, float]:
    """Return milliseconds a row: CPU and wall of the pack, and CPU of its graph alone."""
    sys.path.insert(0, str(pack))
    import numpy
    import onnxruntime
    from score import Model  # type: ignore[import-not-found]

    with Model(str(pack)) as model:
        model.predict([ROW])
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(rows):
            model.predict([ROW])
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    session = onnxruntime.InferenceSession(pack / "model.onnx", providers=["CPUExecutionProvider"])
    feed = {
        given.name: numpy.array([["L"]], object)
        if given.type == "tensor(string)"
        else numpy.ones((1, 1), numpy.float32)
        for given in session.get_inputs()
    }
    session.run(None, feed)
    bare = time.process_time()
    for _ in range(rows):
        session.run(None, feed)
    bare = time.process_time() - bare
    return {"cpu": 1000 * cpu / rows, "wall": 1000 * wall / rows, "bare": 1000 * bare / rows}


if __name__ == "__main__":
    print(json.dumps(score_rows(Path(sys.argv[1]), int(sys.argv[2]))))
