"""When pipelines run: schedules, sensors, automation conditions. Independent of the stages."""
