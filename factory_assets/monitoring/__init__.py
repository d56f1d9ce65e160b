"""Watching answers in service: what was answered since the last look, whether the world changed,
and how well the model does. Statistics belong in `ml.drift` and `ml.performance`, schedules in
`schedules`, what Dagster shows in `components`."""
