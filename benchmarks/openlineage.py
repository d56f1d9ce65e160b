"""The events of OpenLineage: the CPU time of one, from the record of a stage to the file.

Measured in a process of its own, without its start, over the events of a recorded run.

python -m benchmarks.openlineage
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.measure import FACTORY, Result, measure

_PIPELINE = "machine_failure"

_CODE = f"""
import time
from factory_assets.cli.shared import select
from factory_assets.openlineage.delivery import deliver
from factory_assets.openlineage.events import recorded_events
from factory_assets.results.record_graph import RecordGraph
from factory_assets.spec.settings import OpenLineageSettings
from factory_resources.home.home import Home
[pipeline] = select([{_PIPELINE!r}])
home = Home.from_env()
history = RecordGraph.of(home)
settings, count = OpenLineageSettings(), 0
began = time.process_time()
for _ in range(20):
    for event in recorded_events(pipeline, history.records, history, "factory"):
        deliver(settings, event, home)
        count += 1
print((time.process_time() - began) / count)
"""

_MILLISECONDS = 5.0


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        environment = {"FACTORY_HOME": str(Path(name) / "home")}
        measure([FACTORY, "run", _PIPELINE], environment)
        taken = float(measure([sys.executable, "-c", _CODE], environment).output.split()[-1]) * 1e3
    target = f"<= {_MILLISECONDS:g} ms"
    return [Result("an OpenLineage event", f"{taken:.2f} ms CPU", target, taken <= _MILLISECONDS)]


if __name__ == "__main__":
    for result in run():
        print(f"{result.name}: {result.measured} (target {result.target})")
