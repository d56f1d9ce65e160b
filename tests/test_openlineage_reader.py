"""What reads events in the tests refuses those that OpenLineage does not have."""

import copy
from typing import Any

import pytest

from tests.openlineage_reader import read_event

SPEC = "https://openlineage.io/spec/facets"


def _facet(schema: str, version: str, **content: Any) -> dict[str, Any]:
    address = f"{SPEC}/{version}/{schema}.json#/$defs/{schema}"
    return {"_producer": "urn:a-factory", "_schemaURL": address, **content}


ORIGIN = {"namespace": "file", "name": "data.csv", "field": "size"}
EVENT: dict[str, Any] = {
    "eventType": "COMPLETE",
    "eventTime": "2026-01-01T02:00:00.000+00:00",
    "producer": "urn:a-factory",
    "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    "run": {"runId": "e43b4b5c-1f4b-5a0e-9d6c-2c8a0c1f7a11", "facets": {}},
    "job": {"namespace": "factory", "name": "apples.clean", "facets": {}},
    "inputs": [
        {
            "namespace": "factory",
            "name": "apples/ingest",
            "inputFacets": {
                "dataQualityAssertions": _facet(
                    "DataQualityAssertionsDatasetFacet",
                    "1-1-0",
                    assertions=[{"assertion": "positive", "success": False}],
                )
            },
        }
    ],
    "outputs": [
        {
            "namespace": "factory",
            "name": "apples/clean",
            "facets": {
                "columnLineage": _facet(
                    "ColumnLineageDatasetFacet",
                    "1-2-0",
                    fields={"double": {"inputFields": [ORIGIN]}},
                )
            },
        }
    ],
}
ASSERTIONS = ("inputs", 0, "inputFacets", "dataQualityAssertions")
LINEAGE = ("outputs", 0, "facets", "columnLineage")
ASSERTION, INPUT = (*ASSERTIONS, "assertions", 0), (*LINEAGE, "fields", "double", "inputFields", 0)


def test_an_event_is_read() -> None:
    event = read_event(EVENT)
    [lineage] = event.outputs[0].facets["columnLineage"].fields["double"].inputFields
    assert (lineage.name, lineage.field) == ("data.csv", "size")
    assert not event.inputs[0].inputFacets["dataQualityAssertions"].assertions[0].success


@pytest.mark.parametrize(
    ("at", "wrong"),
    [
        (("eventType",), "ENDED"),
        (("eventTime",), "yesterday"),
        (("eventTime",), None),
        (("producer",), "nobody"),
        (("run", "runId"), "first"),
        (("run",), None),
        (("job", "name"), None),
        (("inputs",), {}),
        ((*ASSERTIONS, "_schemaURL"), f"{SPEC}/9-0-0/DataQualityAssertionsDatasetFacet.json"),
        ((*ASSERTIONS, "_producer"), None),
        ((*ASSERTIONS, "checked"), True),
        ((*ASSERTION, "success"), "no"),
        ((*ASSERTION, "success"), None),
        ((*LINEAGE, "fields"), None),
        ((*INPUT, "field"), 7),
        ((*INPUT, "namespace"), None),
        ((*INPUT, "column"), "size"),
    ],
    ids=str,
)
def test_a_wrong_event_is_refused(at: tuple[str | int, ...], wrong: Any) -> None:
    """A part has another value, or is left out if that is None."""
    event = copy.deepcopy(EVENT)
    part: Any = event
    for name in at[:-1]:
        part = part[name]
    if wrong is None:
        del part[at[-1]]
    else:
        part[at[-1]] = wrong
    with pytest.raises((AssertionError, KeyError, TypeError, ValueError)):
        read_event(event)
