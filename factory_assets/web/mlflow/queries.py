"""Which GraphQL queries of MLflow's UI are let through: those that read runs, and none of files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from factory_assets.web.mlflow.endpoints import OperationRefusedError

if TYPE_CHECKING:
    from graphql import DocumentNode

FIELDS = frozenset(
    {
        "mlflowGetExperiment",
        "mlflowGetMetricHistoryBulkInterval",
        "mlflowGetRun",
        "mlflowSearchModelVersions",
        "mlflowSearchRuns",
    }
)
"""Not `mlflowListArtifacts`: it follows symbolic links."""

_TOKENS = 5_000

_REMEDY = "ask for a run, an experiment or a version"


def checked_query(body: bytes) -> bytes:
    """Return a body with the same query, written in one way only.

    Raises:
        OperationRefusedError: it is no query, or one for a field that is not in `FIELDS`.
    """
    from graphql import GraphQLError, parse

    try:
        asked = json.loads(body)
        document = parse(asked["query"], no_location=True, max_tokens=_TOKENS)
    except (ValueError, TypeError, KeyError, RecursionError, GraphQLError) as error:
        raise OperationRefusedError("malformed GraphQL", remedy=_REMEDY) from error
    for field in _root_fields(document):
        if field not in FIELDS:
            raise OperationRefusedError(f"GraphQL {field} is refused", remedy=_REMEDY)
    kept = {key: asked.get(key) for key in ("query", "variables", "operationName")}
    return json.dumps(kept).encode()


def _root_fields(document: DocumentNode) -> Iterator[str]:
    """Yield what the operations ask for; what is no plain field of a query, by its kind."""
    from graphql import FieldNode, FragmentDefinitionNode, OperationDefinitionNode, OperationType

    for definition in document.definitions:
        if isinstance(definition, FragmentDefinitionNode):
            continue
        if not isinstance(definition, OperationDefinitionNode):
            yield definition.kind
        elif definition.operation is not OperationType.QUERY:
            yield definition.operation.value
        else:
            for selection in definition.selection_set.selections:
                if isinstance(selection, FieldNode):
                    yield selection.name.value
                else:
                    yield selection.kind
