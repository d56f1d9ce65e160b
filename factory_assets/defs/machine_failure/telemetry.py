"""Simulate machine telemetry like that of AI4I 2020 (UCI 601, S. Matzka, CC BY 4.0).

Distributions and failure rules follow the published description of that data set and are fitted to
its 10,000 rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Whole = NDArray[np.int64]

TYPES = ("L", "M", "H")
WEAR = (2, 3, 5)
"""Minutes of tool wear that a part of each type causes."""
STRAIN = (11_000, 12_000, 13_000)
"""Wear times torque (min Nm) above which a machine fails, for each type of part."""


def simulate(rows: int = 100_000, seed: int = 1, faults: float = 0.0) -> pyarrow.Table:
    """Return one row for each produced part, in the order of production; columns as in AI4I 2020.

    Temperatures are in K, speed in rpm, torque in Nm, tool wear in min; failures are 0 or 1.

    Args:
        rows: the number of parts.
        seed: of the random generator.
        faults: the share of rows with one impossible reading, as when a sensor drops out. They are
            drawn last, so that all other values are the same with and without them.
    """
    import numpy as np
    import pyarrow

    random = np.random.default_rng(seed)
    kind = random.choice(3, size=rows, p=(0.6, 0.3, 0.1))
    air = 300 + 2 * _walk(random, rows)
    process = air + 10 + _walk(random, rows)
    torque = _positive_torque(random, rows)
    speed = np.where(torque < 13, 3000 - 30 * torque, 1000 + 20_000 / torque)
    speed += np.where(torque < 13, 0, random.normal(0, 50, rows))
    wear, tool_failure = _tools(random, np.array(WEAR)[kind])

    power = torque * speed * 2 * np.pi / 60
    heat = (process - air < 8.6) & (speed < 1380)
    overpower = (power < 3500) | (power > 9000)
    overstrain = wear * torque > np.array(STRAIN)[kind]
    chance = random.random(rows) < 0.001
    failure = tool_failure | heat | overpower | overstrain

    letters = np.array(TYPES)[kind]
    number = np.arange(1, rows + 1)
    dropped = np.where(random.random(rows) < faults, random.integers(0, 2, rows), -1)
    torque, process = np.where(dropped == 0, -1.0, torque), np.where(dropped == 1, 0.0, process)
    return pyarrow.table(
        {
            "udi": number,
            "product_id": np.char.add(letters, (number + 14_859).astype(str)),
            "type": letters,
            "air_temperature": air.round(1),
            "process_temperature": process.round(1),
            "speed": speed.round().astype(np.int64),
            "torque": torque.round(1),
            "tool_wear": wear,
            "machine_failure": failure.astype(np.int64),
            "twf": tool_failure.astype(np.int64),
            "hdf": heat.astype(np.int64),
            "pwf": overpower.astype(np.int64),
            "osf": overstrain.astype(np.int64),
            "rnf": chance.astype(np.int64),
        }
    )


def _walk(random: np.random.Generator, rows: int) -> Numbers:
    """Return a random walk with mean 0 and standard deviation 1 in each block of 10,000 rows.

    The original normalises its walk over its 10,000 rows; with blocks of that size, the share of
    failures does not depend on the number of rows.
    """
    import numpy as np

    walk = np.cumsum(random.normal(size=rows))
    for start in range(0, rows, 10_000):
        part = walk[start : start + 10_000]
        part -= part.mean()
        part /= part.std() or 1
    return walk


def _positive_torque(random: np.random.Generator, rows: int) -> Numbers:
    torque = random.normal(40, 10, rows)
    while (bad := torque <= 0).any():
        torque[bad] = random.normal(40, 10, bad.sum())
    return torque


def _tools(random: np.random.Generator, cost: Whole) -> tuple[Whole, NDArray[np.bool_]]:
    """Return the tool wear (min) before each part, and whether the tool failed on it.

    The life of a tool is N(215, 10) min of wear: at its end 39 % fail, the rest are replaced.

    Args:
        random: the random generator.
        cost: the wear (min) that each part causes.
    """
    import numpy as np

    total = np.concatenate([[0], np.cumsum(cost)])
    wear = np.empty(len(cost), dtype=np.int64)
    failed = np.zeros(len(cost), dtype=bool)
    start = 0
    while start < len(cost):
        life = random.normal(215, 10)
        # The last part of a tool is the first that it starts at or beyond the end of its life.
        last = int(np.searchsorted(total, total[start] + life))
        last = min(max(last, start), len(cost) - 1)
        wear[start : last + 1] = total[start : last + 1] - total[start]
        failed[last] = wear[last] >= life and random.random() < 0.39
        start = last + 1
    return wear, failed
