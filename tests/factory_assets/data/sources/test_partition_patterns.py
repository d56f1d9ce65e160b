"""What the key of a partition becomes in each part of a source."""

from pathlib import Path
from typing import Any

import pytest

from factory_assets.data.sources.partition_patterns import bind
from factory_assets.spec import Partition, Pipeline, PipelineSpec
from factory_resources.errors import SourceError


def _bound(source: dict[str, Any], key: str) -> Any:
    """Return a source as it is read of the partition with this key."""
    attributes = {
        "purpose": "test",
        "partitions": {"site": {"dynamic": True}},
        "ingest": {"source": source, "contract": [{"name": "x", "type": "int64"}]},
    }
    pipeline = Pipeline("p", PipelineSpec.model_validate(attributes), Path("p"))
    [found] = bind(pipeline, Partition({"site": key}, {}, {})).spec.ingest.every_source
    return found


def test_a_key_never_becomes_sql() -> None:
    query = "SELECT '{site}' AS x FROM t WHERE y = :site"
    parameters = {"site": "{site}"}
    database = {"database": "sqlite:data/{site}.db", "query": query, "parameters": parameters}
    found = _bound(database, "O'Neil")
    assert (found.query, found.parameters) == (query, {"site": "O'Neil"})
    assert found.database == "sqlite:data/O'Neil.db"


def test_no_character_of_a_key_is_a_wildcard_of_a_file_name() -> None:
    assert _bound({"files": "data/{site}-*.csv"}, "a[1]?").files == ("data/a[[]1][?]-*.csv",)
    function = {"python": "m:load", "args": {"site": "{site}"}}
    assert _bound(function, "a[1]?").args == {"site": "a[1]?"}


@pytest.mark.parametrize("key", ["../secret", "a/b", "a\\b"])
def test_a_key_leads_to_no_other_folder(key: str) -> None:
    with pytest.raises(SourceError, match="cannot be part of a file name; name the partition"):
        _bound({"files": "data/{site}.csv"}, key)
    assert _bound({"python": "m:load", "args": {"site": "{site}"}}, key).args == {"site": key}
