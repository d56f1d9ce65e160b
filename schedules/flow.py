"""When new data flows on: an asset runs as soon as what it reads has changed."""

import dagster as dg


def on_new_data() -> dg.AutomationCondition:  # type: ignore[type-arg] # Dagster knows only the bare class
    """Whenever something upstream was made anew, and its blocking checks passed.

    Nothing runs by itself before the sensor of the automation conditions is switched on in the UI.
    """
    return dg.AutomationCondition.eager() & (
        dg.AutomationCondition.all_deps_blocking_checks_passed()
    )
