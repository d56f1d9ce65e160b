"""What `factory monitor` prints of a look, whatever the columns and their values are called."""

import io

from rich.console import Console

from factory_assets.cli.monitor import show
from factory_assets.monitoring.report import Alarm, ReportedChange
from factory_resources.home.home import Home
from tests.watched import look


def test_names_and_values_in_brackets_are_printed_as_they_are(home: Home) -> None:
    change = ReportedChange(
        column="speed [rpm]",
        what="values",
        evidence=40.0,
        effect=0.5,
        words="value [/none] 10.0% → 60.0% of the values",
        since=1,
    )
    alarm = Alarm(kind="drift", what="speed [rpm]: other values", remedy="train again")
    home.require_writable()
    report = look(home, 1, alarm).model_copy(update={"findings": (change,)})
    printed = io.StringIO()
    show(report, Console(file=printed, width=200))
    assert "ALARM drift" in printed.getvalue()
    assert "speed [rpm]: other values; train again" in printed.getvalue()
    assert "values speed [rpm]" in printed.getvalue()
    assert "value [/none] 10.0% → 60.0%" in printed.getvalue()
