"""What a stage reads and writes, as datasets of OpenLineage: tables, models and sources.

Their facets belong in `facets`. No value of a row is in them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from factory_assets.data.transforms.column_lineage import (
    Origins,
    clean_origins,
    parse_clean,
    source_origins,
    source_prefixes,
)
from factory_assets.openlineage import facets
from factory_assets.results.base import StageResult, digest
from factory_assets.results.data import CleanResult, IngestResult, SourceFile, SplitResult
from factory_assets.results.model import Candidate, Champion
from factory_assets.results.record_graph import tables_of
from factory_assets.results.stages import Stage
from factory_assets.spec import IDENTITY
from factory_resources.tables.snapshot import Snapshot

Dataset = dict[str, Any]

StageInputs = Mapping[Stage, StageResult]

SOURCES = "file"
"""The namespace of sources; their names are as declared, without the path of the folder."""

_TABLE = re.compile(r"([a-z][a-z0-9_]*/(?:ingest|clean))@([0-9a-f]{64})")
"""The name of a source that is the table of another pipeline, and its data version."""

MAX_SOURCES = 20
"""More sources than these are one dataset: a table may have a hundred thousand files."""

_READ: Mapping[Stage, Mapping[Stage, tuple[str, ...]]] = {
    "clean": {"ingest": ("snapshot",)},
    "split": {"clean": ("snapshot",)},
    "train": {"split": ("train", "validation")},
    "evaluate": {"split": ("test",)},
    "deploy": {"evaluate": ("predictions",)},
}
"""The tables that a stage reads of each result."""


def input_datasets(
    stage: Stage, inputs: StageInputs, value: StageResult | None, namespace: str
) -> list[Dataset]:
    """Return what a stage reads.

    Args:
        inputs: the results of the stages before it.
        value: its own result, which names the sources of an ingest; None before it has one.
    """
    if isinstance(value, IngestResult):
        return _sources(value.sources, namespace)
    return [
        *(
            _table(tables_of(inputs[before])[part], namespace)
            for before, parts in _READ.get(stage, {}).items()
            for part in parts
        ),
        *(_model(result, namespace) for result in inputs.values() if isinstance(result, Candidate)),
    ]


def output_datasets(
    value: StageResult, inputs: StageInputs, declaration: Any, namespace: str
) -> list[Dataset]:
    """Return what a stage wrote: its tables, with their column lineage, or its model.

    Args:
        declaration: the part of the declaration that the stage read, as a record stores it.
    """
    if isinstance(value, Candidate | Champion):
        return [_model(value, namespace)]
    outputs = []
    for snapshot in tables_of(value).values():
        dataset = _table(snapshot, namespace)
        lineage = _lineage(value, snapshot, inputs, declaration, namespace)
        if lineage:
            dataset["facets"]["columnLineage"] = facets.column_lineage(lineage)
        counts = facets.output_statistics(snapshot.rows, snapshot.bytes, len(snapshot.files))
        outputs.append({**dataset, "outputFacets": {"outputStatistics": counts}})
    return outputs


def _table(snapshot: Snapshot, namespace: str) -> Dataset:
    return {
        "namespace": namespace,
        "name": snapshot.table,
        "facets": {
            "version": facets.dataset_version(snapshot.data_version),
            "schema": facets.table_schema(snapshot.columns),
        },
    }


def _model(value: Candidate | Champion, namespace: str) -> Dataset:
    kind, version = "model", ""
    match value:
        case Candidate():
            version = value.digest
        case Champion():
            kind, version = "onnx", value.onnx_sha256
    return {
        "namespace": namespace,
        "name": f"{value.model}/{kind}",
        "facets": {"version": facets.dataset_version(version)},
    }


def _sources(sources: Sequence[SourceFile], namespace: str) -> list[Dataset]:
    versions: dict[tuple[str, str], list[str]] = {}
    for source in sources:
        table = _TABLE.fullmatch(source.name)
        version = table[2] if table else source.sha256
        versions.setdefault(_place(source, namespace), []).append(version)
    if len(versions) > MAX_SOURCES:
        together = digest([source.sha256 for source in sources])
        versions = {_together(sources): [together]}
    return [
        {
            "namespace": space,
            "name": name,
            "facets": {"version": facets.dataset_version(_one_version(found))},
        }
        for (space, name), found in versions.items()
    ]


def _place(source: SourceFile, namespace: str) -> tuple[str, str]:
    """Return namespace and name of a source; a table of another pipeline is one dataset, whoever
    writes or reads it."""
    if table := _TABLE.fullmatch(source.name):
        return namespace, table[1]
    return SOURCES, source.name or f"sha256:{source.sha256}"


def _together(sources: Sequence[SourceFile]) -> tuple[str, str]:
    return SOURCES, f"{sources[0].name} and {len(sources) - 1} more"


def _one_version(versions: Sequence[str]) -> str:
    different = [*dict.fromkeys(versions)]
    return different[0] if len(different) == 1 else digest(different)


def _lineage(
    value: StageResult, snapshot: Snapshot, inputs: StageInputs, declaration: Any, namespace: str
) -> facets.ColumnInputs:
    match value, inputs:
        case IngestResult(), _:
            return dict(_from_sources(value, snapshot, declaration, namespace))
        case CleanResult(), {"ingest": IngestResult() as before}:
            spec = parse_clean(declaration)
            origins = clean_origins(spec, tuple(before.snapshot.columns)) if spec else {}
        case SplitResult(), {"clean": CleanResult() as before}:
            origins = {name: (name,) for name in before.snapshot.columns}
        case _:
            return {}
    table = before.snapshot.table
    return {
        name: [(namespace, table, column) for column in columns]
        for name, columns in origins.items()
        if name in snapshot.columns and name not in IDENTITY
    }


def _from_sources(
    value: IngestResult, snapshot: Snapshot, declaration: Any, namespace: str
) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    columns = tuple(name for name in value.snapshot.columns if name in snapshot.columns)
    origins: Origins = source_origins(declaration, columns, value.labels, value.added)
    places = {(source.join or "", *_place(source, namespace)) for source in value.sources}
    if len({(space, name) for _, space, name in places}) > MAX_SOURCES:
        for column, found in origins.items():
            yield column, [(*_together(value.sources), origin) for origin in found]
        return
    prefixes = source_prefixes(declaration)
    matches = (_TABLE.fullmatch(source.name) for source in value.sources)
    tables = {match[1] for match in matches if match}
    for column, found in origins.items():
        read = []
        for origin in found:
            prefix = next((one for one in prefixes if origin.startswith(one)), "")
            join, table = prefixes.get(prefix, ""), prefix.removesuffix(".")
            read += [
                (space, name, origin.removeprefix(prefix))
                for of, space, name in sorted(places)
                if of == join and (name == table if table in tables else name not in tables)
            ]
        yield column, read
