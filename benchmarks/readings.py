"""Generate the readings for the benchmarks of cleaning and CSV ingest: 8 columns, a few faults.

A few rows in a thousand break rules; 3 % of the keys repeat those of earlier rows.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from factory_assets.spec import Pipeline

COLUMNS = {
    "reading": "int64",
    "taken": "timestamp",
    "machine": "string",
    "grade": "string",
    "temperature": "float64",
    "torque": "float64",
    "speed": "int64",
    "wear": "int64",
}
KEY = "reading"
RULES = {
    "temperature_possible": "temperature > -100",
    "torque_present": "torque >= 0.05",
    "speed_in_range": "speed BETWEEN 1000 AND 2997",
    "wear_possible": "wear < 252 OR grade <> 'H'",
}
DERIVED = {
    "power": "torque * speed * 2 * pi() / 60",
    "fahrenheit": "temperature * 1.8 + 32",
    "night": "hour(taken) < 6 OR hour(taken) >= 22",
}


def rows_sql(rows: int) -> str:
    """Return SQL for the rows, the same on every call; `i` is the row number, from 0."""
    return f"""SELECT
        CASE WHEN hash(i, 1) % 100 < 3 THEN hash(i, 2) % (i + 1)::UBIGINT ELSE i END::BIGINT
            AS reading,
        TIMESTAMP '2020-01-01' + to_seconds(i // 10) AS taken,
        'machine_' || hash(i, 3) % 5000 AS machine,
        CASE hash(i, 4) % 3 WHEN 0 THEN 'L' WHEN 1 THEN 'M' ELSE 'H' END AS grade,
        round(20 + hash(i, 5) % 100000 / 1000 - 400 * (hash(i, 6) % 1000 = 0)::INT, 2)
            AS temperature,
        hash(i, 7) % 10000 / 100 AS torque,
        (1000 + hash(i, 8) % 2000)::BIGINT AS speed,
        (hash(i, 9) % 253)::BIGINT AS wear,
        i
    FROM range({rows}) AS numbers(i)"""


def pipeline(source: str) -> "Pipeline":
    """Return the declaration of what the other sides write in SQL or pandas."""
    from factory_assets.spec import Pipeline, PipelineSpec

    spec = {
        "purpose": "measure",
        "ingest": {
            "source": {"files": source},
            "contract": [{"name": name, "type": kind} for name, kind in COLUMNS.items()],
        },
        "clean": {"where": RULES, "deduplicate": [KEY], "derive": DERIVED},
        "train": {"target": "wear", "model": {"kind": "linear"}},
    }
    return Pipeline("benchmark", PipelineSpec.model_validate(spec), Path(source).parent)
