"""Whose turn it is: the rows of a period are compared with those of the period before it.

Whatever comes before that comparison is worked on at the same time. Results are then stored in the
order of the periods, so that each is compared with the same one as if nobody worked beside it.
"""

from collections.abc import Mapping, Sequence
from threading import Event

from factory_assets.execution.workers.worker_process import WorkerProcess
from factory_assets.spec import Partition
from factory_assets.spec.partitions import Dimension, time_dimension

_LOOK = 0.5
"""Seconds after which somebody who waits sees that the run is stopped."""


class Turns:
    """The turns of the partitions of a run; without a dimension of time there is no order.

    Args:
        partitions: in the order of their periods.
    """

    def __init__(
        self, dimensions: Mapping[str, Dimension], partitions: Sequence[Partition]
    ) -> None:
        self._ended = {partition.key: Event() for partition in partitions}
        self._before: dict[str, Event] = {}
        time, last = time_dimension(dimensions), dict[tuple[str, ...], Event]()
        for partition in partitions if time else ():
            series = tuple(key for name, key in partition.keys.items() if name != time)
            if before := last.get(series):
                self._before[partition.key] = before
            last[series] = self._ended[partition.key]

    def wait(self, partition: Partition, worker: WorkerProcess) -> None:
        """Return when the partition before this one is stored, or failed.

        Raises:
            KeyboardInterrupt: the worker is stopped meanwhile.
        """
        before = self._before.get(partition.key)
        while before and not before.wait(_LOOK):
            worker.require_running()

    def end(self, partition: Partition) -> None:
        """Let the next partition have its turn."""
        self._ended[partition.key].set()
