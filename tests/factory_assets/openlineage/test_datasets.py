"""Sources as datasets of OpenLineage: a table of another pipeline is the one that it wrote."""

from typing import Any

import pytest

from factory_assets.openlineage.datasets import MAX_SOURCES, input_datasets, output_datasets
from factory_assets.results.data import Block, IngestResult, SourceFile
from factory_resources.tables.snapshot import Snapshot

OLD, NEW = "a" * 64, "b" * 64

COLUMNS = {"size": "DOUBLE", "age": "BIGINT", "price": "DOUBLE", "owner": "VARCHAR"}


def _ingested() -> tuple[IngestResult, dict[str, Any]]:
    """Return rows of two pipelines and a file with three joins, and their declaration."""
    names = (
        *(("", f"orchard/clean@{version}") for version in (OLD, NEW)),
        *(("", "more.csv"), ("machines", f"plant/ingest@{NEW}"), ("prices", "prices.csv")),
        ("owners", "sqlite:x.db/owners"),
    )
    table = Snapshot(table="p/ingest", files=(), columns=COLUMNS)
    added = {"machines": {"age": "age"}, "owners": {"owner": "name"}}
    block = Block(key="", good=table, broken=None, rows_in=0, quarantined={}, added=added)
    sources = tuple(SourceFile(name=n, sha256="c" * 64, rows=1, join=j) for j, n in names)
    value = IngestResult(
        snapshot=table,
        quarantine=None,
        sources=sources,
        rows_read=0,
        quarantined={},
        blocks=(block,),
    )
    orchard = {"pipeline": "orchard", "stage": "clean"}
    declaration = {
        "sources": {"a": orchard, "b": {"files": "more.csv"}},
        "contract": {"columns": []},
        "joins": {
            "machines": {"source": {"pipeline": "plant", "stage": "ingest"}},
            "prices": {"source": {"files": "prices.csv"}, "columns": ["price"]},
            "owners": {"source": {"database": "sqlite:x.db", "table": "owners"}},
        },
    }
    return value, declaration


def test_a_table_of_another_pipeline_is_the_dataset_that_it_wrote() -> None:
    value, _ = _ingested()
    found = input_datasets("ingest", {}, value, "us")
    names = [(one["namespace"], one["name"]) for one in found]
    assert names == [
        ("us", "orchard/clean"),
        ("file", "more.csv"),
        ("us", "plant/ingest"),
        *(("file", "prices.csv"), ("file", "sqlite:x.db/owners")),
    ]
    versions = [one["facets"]["version"]["datasetVersion"] for one in found]
    assert versions[2] == NEW
    assert versions[0] not in (OLD, NEW)


@pytest.mark.parametrize("count", [MAX_SOURCES, MAX_SOURCES + 1])
def test_more_sources_than_are_listed_are_one_dataset(count: int) -> None:
    value, _ = _ingested()
    sources = tuple(SourceFile(name=f"{n}.csv", sha256="c" * 64, rows=1) for n in range(count))
    found = input_datasets("ingest", {}, value.model_copy(update={"sources": sources}), "us")
    assert len(found) == (count if count == MAX_SOURCES else 1)


def test_a_source_without_a_name_has_its_digest() -> None:
    value, _ = _ingested()
    nameless = SourceFile(name="", sha256="c" * 64, rows=1)
    [found] = input_datasets("ingest", {}, value.model_copy(update={"sources": (nameless,)}), "us")
    assert found["name"] == f"sha256:{nameless.sha256}"


def test_each_column_is_that_of_the_table_that_has_it() -> None:
    value, declaration = _ingested()
    [table] = output_datasets(value, {}, declaration, "us")
    fields = table["facets"]["columnLineage"]["fields"]
    read = {
        column: [
            (one["namespace"], one["name"], one["field"]) for one in fields[column]["inputFields"]
        ]
        for column in fields
    }
    assert read == {
        "size": [("us", "orchard/clean", "size"), ("file", "more.csv", "size")],
        "age": [("us", "plant/ingest", "age")],
        "price": [("file", "prices.csv", "price")],
        "owner": [("file", "sqlite:x.db/owners", "name")],
    }
