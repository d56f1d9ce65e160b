"""Logs as earlier versions of the factory left them, for tests of their repair."""

import json
from pathlib import Path

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from factory_resources.delta_protocol import commit_path, newest_commit


def break_log(folder: Path) -> None:
    """Add a commit that gives the table its first time without declaring the feature for it."""
    newest = newest_commit(folder)
    commits = [commit_path(folder, number).read_text() for number in range(newest + 1)]
    actions = [json.loads(line) for text in commits for line in text.splitlines()]
    metadata = [action["metaData"] for action in actions if "metaData" in action][-1]
    schema = json.loads(metadata["schemaString"])
    time = {"name": "moment", "type": "timestamp_ntz", "nullable": True, "metadata": {}}
    schema["fields"].append(time)
    metadata["schemaString"] = json.dumps(schema)
    path = commit_path(folder, newest + 1)
    path.write_text('{"commitInfo": {}}\n' + json.dumps({"metaData": metadata}))
    try:
        DeltaTable(str(folder))
    except DeltaError:
        return
    raise AssertionError("the log can still be read")
