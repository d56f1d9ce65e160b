"""Column lineage of a stage's table: which columns of which assets each column comes from.

Deriving origins from SQL belongs in `data.transforms.column_lineage`.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import dagster as dg

from factory_assets.data.transforms.column_lineage import Origins, clean_origins, source_origins
from factory_assets.execution.cache_key import relevant_spec
from factory_assets.execution.requests import StageRequest
from factory_assets.results.data import IngestResult
from factory_assets.spec import IDENTITY, AssetSource, SnapshotSource
from factory_resources.tables.snapshot import Snapshot

KEY = "dagster/column_lineage"


def column_lineage(
    call: StageRequest, snapshot: Snapshot, value: IngestResult | None = None
) -> dict[str, Any]:
    """Return Dagster's lineage metadata of a table; empty if no asset is upstream of the stage.

    Args:
        call: the request of ingest, clean or split.
        snapshot: the stage's table.
        value: the result of an ingest.
    """
    pipeline = call.pipeline.name
    columns = [name for name in snapshot.columns if name not in IDENTITY]
    match call.stage:
        case "ingest":
            return _ingest_lineage(call, columns, value)
        case "clean":
            added = call.pipeline.spec.clean.columns
            ingested = [name for name in columns if name not in added]
            return _lineage(_clean_origins(call, ingested), dg.AssetKey([pipeline, "ingest"]))
        case _:
            return _lineage({name: (name,) for name in columns}, dg.AssetKey([pipeline, "clean"]))


def _lineage(origins: Origins, upstream: dg.AssetKey) -> dict[str, Any]:
    return _metadata(
        {
            name: [dg.TableColumnDep(upstream, column) for column in columns]
            for name, columns in origins.items()
        }
    )


def _metadata(deps: Mapping[str, Sequence[dg.TableColumnDep]]) -> dict[str, Any]:
    return {KEY: dg.TableColumnLineage(deps_by_column=deps)}


def _ingest_lineage(
    call: StageRequest, columns: list[str], value: IngestResult | None
) -> dict[str, Any]:
    assets: dict[str, dg.AssetKey] = {}
    for source in call.pipeline.spec.ingest.every_source:
        if isinstance(source, SnapshotSource):
            assets[f"{source.pipeline}/{source.stage}."] = dg.AssetKey(
                [source.pipeline, source.stage]
            )
        elif isinstance(source, AssetSource):
            assets[f"{source.asset}."] = dg.AssetKey(source.asset.split("/"))
    if not assets or value is None:
        return {}
    spec = relevant_spec(call.pipeline, "ingest")
    origins = source_origins(spec, columns, value.labels, value.added)
    return _metadata(
        {
            name: [
                dg.TableColumnDep(key, origin.removeprefix(prefix))
                for origin in columns_of_sources
                for prefix, key in assets.items()
                if origin.startswith(prefix)
            ]
            for name, columns_of_sources in origins.items()
        }
    )


def _clean_origins(call: StageRequest, ingested: list[str]) -> Origins:
    """Return the origins of clean's columns, cached by declaration and ingested columns.

    Describing a reused table must not cost the import of DuckDB (0.12 s).
    """
    key = [call.pipeline.spec.clean.model_dump(mode="json"), ingested]
    name = sha256(json.dumps(key).encode()).hexdigest()
    path = call.home.pictures / "previews" / f"columns-{name}.json"
    if not path.is_file():
        origins = clean_origins(call.pipeline.spec.clean, ingested)
        call.home.write_atomic(path, json.dumps(origins).encode())
    return {k: tuple(v) for k, v in json.loads(path.read_bytes()).items()}
