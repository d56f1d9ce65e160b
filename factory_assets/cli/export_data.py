"""`factory export-data`: describe a snapshot in Croissant, or its table in a data contract.

What a description contains belongs in `factory_assets.exchange`.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import yaml

from factory_assets.audit.references import SnapshotName, parse
from factory_assets.audit.resolver import ResolvedTable, find_snapshot
from factory_assets.cli.output_file import write_output
from factory_assets.cli.shared import select
from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.exchange.croissant import DataDescription, croissant, missing_fields
from factory_assets.exchange.table_contract import table_contract
from factory_assets.odcs import writer
from factory_assets.results.record_graph import RecordGraph
from factory_assets.spec import Pipeline
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import fetched_paths

DataFormat = Literal["croissant", "odcs"]


def export_data(name: str, kind: DataFormat, out: Path, license_name: str | None) -> list[str]:
    """Write the description of a snapshot; return what a reader will miss in it.

    Args:
        license_name: the licence of the data, which is in no declaration; None to leave it out.

    Raises:
        UnknownNameError: the name is not that of a snapshot of this home.
        DeclarationError: there is no such pipeline.
        StorageError: the file cannot be written.
    """
    parsed = parse(name)
    if not isinstance(parsed, SnapshotName):
        raise UnknownNameError(
            f"{name!r} is not a snapshot", remedy="write pipeline/clean, or pipeline/split.train"
        )
    [pipeline] = select([parsed.pipeline])
    home = Home.from_env()
    resolved = find_snapshot(parsed, RecordGraph.of(home))
    if kind == "odcs":
        write_output(out, _contract(pipeline, resolved).encode())
        return []
    description = croissant(
        resolved.table, _description(pipeline, resolved, out, home, license_name)
    )
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    write_output(out, text.encode())
    return [*_warnings(missing_fields(description))]


def _description(
    pipeline: Pipeline, resolved: ResolvedTable, out: Path, home: Home, license_name: str | None
) -> DataDescription:
    table, sensitive = resolved.table, sensitive_columns(pipeline)
    paths = (os.path.relpath(path, out.resolve().parent) for path in fetched_paths(table, home))
    return DataDescription(
        name=table.table.replace("/", "_"),
        description=pipeline.spec.purpose,
        creators=pipeline.spec.owners,
        published=max(record.finished for record in resolved.records),
        paths=[Path(path).as_posix() for path in paths],
        sensitive={name: sensitive[name] for name in table.columns if name in sensitive},
        license=license_name,
    )


def _contract(pipeline: Pipeline, resolved: ResolvedTable) -> str:
    data = writer.write(
        table_contract(pipeline, resolved.table),
        name=resolved.table.table.replace("/", "_"),
        purpose=pipeline.spec.purpose,
        owners=pipeline.spec.owners,
    )
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def _warnings(missing: list[str]) -> Iterator[str]:
    remedies = {"license": "--license", "creator": "owners in the declaration"}
    for name in missing:
        yield f"there is no {name}, which Croissant requires; name it by {remedies[name]}"
