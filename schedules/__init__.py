"""WHEN: nightly schedules, sensors, automation conditions. Knows no stage."""
