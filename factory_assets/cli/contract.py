"""`factory contract`: export a contract in the Open Data Contract Standard (ODCS v3.1).

How a contract is written in that format belongs in `factory_assets.odcs.writer`.
"""

import yaml

from factory_assets.cli.shared import select
from factory_assets.data.contract.sql_types import native_type
from factory_assets.odcs import writer
from factory_assets.results.base import result_as
from factory_assets.results.data import IngestResult
from factory_assets.spec import IDENTITY, Column, Contract, Pipeline
from factory_resources.errors import DeclarationError
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records


def contract_text(name: str, home: Home) -> str:
    """Return the contract as YAML.

    Raises:
        DeclarationError: there is no such pipeline, or neither a contract nor an ingested table.
    """
    [pipeline] = select([name])
    spec = pipeline.spec
    contract = _typed_contract(pipeline, home)
    data = writer.write(contract, name=name, purpose=spec.purpose, owners=spec.owners)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def _typed_contract(pipeline: Pipeline, home: Home) -> Contract:
    """Return the declared contract; open types are taken from the table ingested last."""
    contract = pipeline.spec.ingest.contract
    native_types = _ingested_columns(pipeline, home)
    if not contract.columns and not native_types:
        raise DeclarationError(
            "there is neither a contract nor an ingested table to take the columns from",
            where=pipeline.name,
            remedy=f"run it first: factory run {pipeline.name} --stages ingest",
        )
    # Constructed without validation: a source's column names need not be valid in a declaration.
    columns = contract.columns or tuple(Column.model_construct(name=name) for name in native_types)
    typed = tuple(
        column
        if column.type or column.name not in native_types
        else column.model_copy(update={"type": native_type(native_types[column.name]) or "string"})
        for column in columns
    )
    return contract.model_copy(update={"columns": typed})


def _ingested_columns(pipeline: Pipeline, home: Home) -> dict[str, str]:
    """Return column to DuckDB type of the newest snapshot; empty if there is none."""
    records = Records(home)
    record = records.latest(pipeline.name, "ingest")
    if record is None and (keys := records.partitions(pipeline.name, "ingest")):
        record = records.latest(pipeline.name, "ingest", keys[-1])
    if record is None:
        return {}
    value = result_as(IngestResult, record)
    added = {*IDENTITY, *(label for source in value.sources for label in source.labels)}
    return {name: kind for name, kind in value.snapshot.columns.items() if name not in added}
