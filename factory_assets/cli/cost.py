"""`factory cost`: read its arguments. What it prints for people belongs in `cost_text`."""

import re
from datetime import UTC, datetime
from pathlib import Path

from factory_assets.audit.cost.forecast import CostForecast
from factory_assets.audit.cost.report import cost_json
from factory_assets.cli.cost_text import cost_text
from factory_assets.cli.shared import select
from factory_assets.declarations.machines import load_machines
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home

_ROWS = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([kMG]?)")

_FACTORS = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


def rows_of(text: str) -> int:
    """Return the number of rows that a text such as `10M` means.

    Raises:
        UnknownNameError: it means none.
    """
    match = _ROWS.fullmatch(text)
    rows = round(float(match[1]) * _FACTORS[match[2]]) if match else 0
    if rows < 1:
        raise UnknownNameError(
            f"{text!r} is not a number of rows", remedy="write a number such as 5000, 200k or 10M"
        )
    return rows


def cost(pipeline: str, rows: str | None, machines: Path | None, *, as_json: bool) -> str:
    """Return what a pipeline costs, as text or JSON.

    Raises:
        FactoryError: there is no such pipeline, nothing was measured, or the file is wrong.
    """
    [found] = select([pipeline])
    forecast = CostForecast(
        found,
        Home.from_env(),
        rows_of(rows) if rows else None,
        load_machines(machines) if machines else {},
        datetime.now(UTC),
    )
    report = forecast.report()
    return cost_json(report) if as_json else cost_text(report)
