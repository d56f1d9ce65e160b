"""Load a table of carbon from its own file, in place of the path that a `defs.yaml` gives.

What the table may contain belongs in `spec.schedule`.
"""

from pathlib import Path
from typing import Any

from factory_assets.declarations.named_files import file_named, parse_named
from factory_assets.declarations.yaml_document import (
    At,
    Document,
    Elsewhere,
    Wrong,
    YamlLocation,
    repeated_keys,
)
from factory_assets.green_hours import GreenHours
from factory_assets.spec import Schedule

AT: At = ("attributes", "schedule", "carbon")
"""Where a declaration names the file."""


def with_carbon(
    attributes: dict[str, Any], document: Document, folder: Path
) -> tuple[dict[str, Any], list[Wrong]]:
    """Return the attributes with the content of the file, and why it cannot be read.

    Args:
        attributes: the declared attributes; they are not changed.
        document: the declaration; it also learns the lines of the file.
        folder: the folder of the declaration.
    """
    name = _file(attributes)
    if name is None:
        return attributes, []
    file = file_named(folder, name)
    here = document.place((*AT, "file"), at_key=False)
    inner = parse_named(file, name, here)
    if not isinstance(inner, Document):
        return attributes, [inner]
    if not isinstance(inner.data, dict) or "file" in inner.data:
        message = "must be a mapping with `source` and one of `daily` and `weekly`"
        return attributes, [(YamlLocation(file, 1, ()), message)]
    document.elsewhere[AT] = Elsewhere(file, inner, lambda at: at)
    schedule = {**attributes["schedule"], "carbon": inner.data}
    return {**attributes, "schedule": schedule}, repeated_keys(file, inner)


def _file(attributes: dict[str, Any]) -> str | None:
    schedule = attributes.get("schedule")
    carbon = schedule.get("carbon") if isinstance(schedule, dict) else None
    # Keys beside the file are refused when the section is validated.
    name = carbon["file"] if isinstance(carbon, dict) and carbon.keys() == {"file"} else None
    return name if isinstance(name, str) and name else None


def green_hours(schedule: Schedule) -> GreenHours | None:
    """Return how the hour of a run is chosen; None if cron says it."""
    if schedule.within is None or schedule.carbon is None:
        return None
    return GreenHours(
        window=schedule.within,
        timezone=schedule.timezone,
        cron=schedule.cron,
        carbon=schedule.carbon.hours,
        carbon_timezone=schedule.carbon.timezone,
        source=schedule.carbon.source or "",
    )
