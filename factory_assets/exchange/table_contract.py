"""The contract of a stored table: of an ingested one as declared, of a later one by its columns.

How a contract is written in the Open Data Contract Standard belongs in `odcs.writer`.
"""

from factory_assets.data.contract.sql_types import native_type
from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.spec import IDENTITY, Column, Contract, Pipeline
from factory_resources.tables.snapshot import Snapshot


def table_contract(pipeline: Pipeline, snapshot: Snapshot) -> Contract:
    """Return what is known of each column of a table.

    A declared column keeps what was promised of it, since cleaning only removes rows, but for its
    name in the source; one that cleaning computes has its type, and whether it is sensitive.
    """
    spec = pipeline.spec
    computed = {*spec.clean.derive, *spec.clean.unify}
    if spec.clean.windows:
        windows = spec.clean.windows
        computed |= {name for column in windows.columns for name in windows.of(column)}
    declared = {c.name: c for c in spec.ingest.contract.columns if c.name not in computed}
    sensitive = sensitive_columns(pipeline)
    columns = []
    for name, kind in snapshot.columns.items():
        if name in IDENTITY:
            continue
        # Without validation: a source's column names need not be valid in a declaration.
        column = declared.get(name) or Column.model_construct(name=name)
        # What is declared as sensitive is told by `sensitive_columns`, derived ones included.
        # A table has its times in UTC.
        known = {
            "type": column.type or native_type(kind) or "string",
            "source": None,
            "timezone": None,
        }
        columns.append(column.model_copy(update={**known, "sensitive": sensitive.get(name)}))
    return Contract.model_construct(columns=tuple(columns))
