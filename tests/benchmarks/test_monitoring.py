"""The simulation of drift detection, for a year or two: quiet rows, and rows that change."""

import pytest

from benchmarks import monitoring


@pytest.mark.long
@pytest.mark.slow
def test_quiet_years_are_quiet_for_ours_and_not_for_the_usual_methods() -> None:
    alarms = monitoring.quiet_run(1, years=2)
    assert alarms.days > 700
    assert alarms.ours == 0
    assert alarms.psi > 2


@pytest.mark.slow
def test_changes_are_found_within_days() -> None:
    assert monitoring.shifted_run(0) <= 5
    assert monitoring.joint_run(0) <= 5


@pytest.mark.long
@pytest.mark.slow
def test_a_season_that_grows_is_quiet_if_it_is_declared() -> None:
    assert monitoring.seasonal_run(0, declared=True, years=1) == 0
