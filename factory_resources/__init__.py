"""Outside systems and technical capabilities, such as files, databases, SQL and MLflow.

Nothing here knows assets or the spec, and only `instance` imports Dagster.
"""
