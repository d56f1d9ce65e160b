"""The red asset that stands for what did not load."""

import re

import dagster as dg


def broken_pipeline(name: str, error: Exception, what: str = "pipeline") -> dg.AssetsDefinition:
    """`<name>/broken`, carrying the error; materialising it fails with the same words."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", name)
    message = str(error) or type(error).__name__

    @dg.asset(
        key=[name, "broken"],
        group_name=name,
        description=f"This {what} did not load:\n\n```\n{message}\n```",
        kinds={"error"},
    )
    def _broken() -> None:
        raise dg.Failure(f"{what} {name!r} did not load: {message}", allow_retries=False)

    return _broken
