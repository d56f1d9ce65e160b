"""The facets of OpenLineage 2-0-2 that the factory writes, each with the address of its schema.

Which dataset or run a facet is put on belongs in `datasets` and `events`. The specification is
https://openlineage.io/spec.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from factory_assets.results.checks import TableCheck
from factory_assets.results.evaluation import GateResult

Facet = dict[str, Any]

PRODUCER = "urn:sovereign-ai-factory:openlineage:v1"

_SPEC = "https://openlineage.io/spec/facets"

ColumnInputs = Mapping[str, Sequence[tuple[str, str, str]]]
"""Each column with the columns it is computed from: namespace and name of the dataset, column."""


def _facet(schema: str, version: str, content: Mapping[str, Any]) -> Facet:
    address = f"{_SPEC}/{version}/{schema}.json#/$defs/{schema}"
    return {"_producer": PRODUCER, "_schemaURL": address, **content}


def dataset_version(version: str) -> Facet:
    return _facet("DatasetVersionDatasetFacet", "1-0-1", {"datasetVersion": version})


def table_schema(columns: Mapping[str, str]) -> Facet:
    """Return the schema facet of a table: column to DuckDB type."""
    fields = [{"name": name, "type": kind} for name, kind in columns.items()]
    return _facet("SchemaDatasetFacet", "1-2-0", {"fields": fields})


def column_lineage(columns: ColumnInputs) -> Facet:
    fields = {
        column: {
            "inputFields": [
                {"namespace": namespace, "name": name, "field": field}
                for namespace, name, field in inputs
            ]
        }
        for column, inputs in columns.items()
    }
    return _facet("ColumnLineageDatasetFacet", "1-2-0", {"fields": fields})


def output_statistics(rows: int, size: int, files: int) -> Facet:
    content = {"rowCount": rows, "size": size, "fileCount": files}
    return _facet("OutputStatisticsOutputDatasetFacet", "1-0-2", content)


def assertions(broken: Mapping[str, int], checks: Iterable[TableCheck]) -> Facet:
    """Return the assertions facet.

    Args:
        broken: each rule with the number of rows that broke it, which may be none.
        checks: the checks of the whole table.
    """
    of_rows = [
        {"assertion": name, "success": not rows, "severity": "warn", "actual": f"{rows} rows"}
        for name, rows in broken.items()
    ]
    of_table = [
        {
            "assertion": check.name,
            "success": check.passed,
            "severity": "error" if check.blocking else "warn",
        }
        for check in checks
    ]
    return _assertions([*of_rows, *of_table])


def gates(results: Iterable[GateResult]) -> Facet:
    """Return the gates of an evaluation as assertions about the test rows."""
    return _assertions(
        [
            {
                "assertion": gate.name,
                "success": gate.passed,
                "severity": "error",
                "actual": str(gate.value),
                "description": gate.explanation,
            }
            for gate in results
        ]
    )


def _assertions(listed: Sequence[Mapping[str, Any]]) -> Facet:
    return _facet("DataQualityAssertionsDatasetFacet", "1-1-0", {"assertions": [*listed]})


def source_code(digest: str) -> Facet:
    """Return where the code of a job is: there is no repository, but the digest of its files."""
    content = {"type": "sha256", "url": f"urn:sha256:{digest}", "version": digest}
    return _facet("SourceCodeLocationJobFacet", "1-1-0", content)


def documentation(text: str) -> Facet:
    return _facet("DocumentationJobFacet", "1-1-0", {"description": text})


def ownership(owners: Iterable[str]) -> Facet:
    listed = [{"name": owner, "type": "OWNER"} for owner in owners]
    return _facet("OwnershipJobFacet", "1-0-1", {"owners": listed})


def job_type(kind: str) -> Facet:
    content = {"processingType": "BATCH", "integration": "SOVEREIGN_AI_FACTORY", "jobType": kind}
    return _facet("JobTypeJobFacet", "2-0-4", content)


def parent_run(run: str, namespace: str, job: str) -> Facet:
    content = {"run": {"runId": run}, "job": {"namespace": namespace, "name": job}}
    return _facet("ParentRunFacet", "1-2-0", content)


def nominal_time(start: str) -> Facet:
    return _facet("NominalTimeRunFacet", "1-0-1", {"nominalStartTime": start})


def error_message(message: str) -> Facet:
    content = {"message": message, "programmingLanguage": "PYTHON"}
    return _facet("ErrorMessageRunFacet", "1-0-1", content)
