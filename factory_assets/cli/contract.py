"""`factory contract`: a pipeline's contract in the Open Data Contract Standard (ODCS v3.1)."""

from pathlib import Path

import yaml

from factory_assets.cli.shared import select
from factory_assets.data.contract.sql_types import native_type
from factory_assets.odcs import writer
from factory_assets.results.data import IngestResult
from factory_assets.spec import IDENTITY, Column, Contract, Pipeline
from factory_resources.errors import DeclarationError
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records


def contract_text(name: str, home: Home) -> str:
    """The YAML of the file.

    Raises:
        DeclarationError: there is no such pipeline, or neither a contract nor an ingested table.
    """
    [pipeline] = select([name])
    spec = pipeline.spec
    data = writer.write(_whole(pipeline, home), name=name, purpose=spec.purpose, owners=spec.owners)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def write_contract(name: str, out: Path, home: Home) -> None:
    """Write the file; raises as `contract_text` does.

    Raises:
        StorageError: the file cannot be written.
    """
    home.write_atomic(out, contract_text(name, home).encode())


def _whole(pipeline: Pipeline, home: Home) -> Contract:
    """The declared contract; types that it leaves open are those of the table ingested last."""
    contract = pipeline.spec.ingest.contract
    found = _ingested(pipeline, home)
    if not contract.columns and not found:
        raise DeclarationError(
            "there is neither a contract nor an ingested table to take the columns from",
            where=pipeline.name,
            remedy=f"run it first: factory run {pipeline.name} --stages ingest",
        )
    # Not validated: a source may name its columns as it likes.
    columns = contract.columns or tuple(Column.model_construct(name=name) for name in found)
    typed = tuple(
        column
        if column.type or column.name not in found
        else column.model_copy(update={"type": native_type(found[column.name]) or "string"})
        for column in columns
    )
    return contract.model_copy(update={"columns": typed})


def _ingested(pipeline: Pipeline, home: Home) -> dict[str, str]:
    """Column to DuckDB type of the newest snapshot; nothing where there is none."""
    records = Records(home)
    record = records.latest(pipeline.name, "ingest")
    if record is None and (known := records.partitions(pipeline.name, "ingest")):
        record = records.latest(pipeline.name, "ingest", known[-1])
    if record is None:
        return {}
    value = IngestResult.model_validate(record.value)
    apart = {*IDENTITY, *(label for source in value.sources for label in source.labels)}
    return {name: kind for name, kind in value.snapshot.columns.items() if name not in apart}
