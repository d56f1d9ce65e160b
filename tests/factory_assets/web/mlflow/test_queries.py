"""Which GraphQL queries are let through."""

import json

import pytest

from factory_assets.web.mlflow.endpoints import OperationRefusedError
from factory_assets.web.mlflow.queries import FIELDS, checked_query

GET_RUN = 'query GetRun { mlflowGetRun(input: {runId: "r"}) { run { info { runId } } } }'


def body(query: object, **others: object) -> bytes:
    return json.dumps({"query": query, **others}).encode()


def test_a_query_of_a_run_passes_with_its_variables_and_nothing_else() -> None:
    passed = json.loads(checked_query(body(GET_RUN, variables={"a": 1}, extensions={"b": 2})))
    assert passed == {"query": GET_RUN, "variables": {"a": 1}, "operationName": None}


@pytest.mark.parametrize(
    "query",
    [
        'mutation { mlflowSearchDatasets(input: {experimentIds: ["0"]}) { __typename } }',
        "subscription { mlflowGetRun { __typename } }",
        'query { mlflowListArtifacts(input: {runId: "r"}) { rootUri } }',
        'query { mlflowGetRun: mlflowListArtifacts(input: {runId: "r"}) { rootUri } }',
        "query { ...Files } fragment Files on Query { mlflowListArtifacts { rootUri } }",
        "query { ... on Query { mlflowListArtifacts { rootUri } } }",
        f"{GET_RUN} mutation M {{ testMutation {{ output }} }}",
        "query { __schema { types { name } } }",
        "query { test { output } }",
        "type Query { a: Int }",
        "{" * 9_000,
        "query {",
        "",
        None,
        7,
    ],
)
def test_another_query_is_refused(query: object) -> None:
    with pytest.raises(OperationRefusedError):
        checked_query(body(query))


@pytest.mark.parametrize("sent", [b"", b"[]", b"null", b"{}", b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_query_is_refused(sent: bytes) -> None:
    with pytest.raises(OperationRefusedError):
        checked_query(sent)


def test_every_allowed_field_is_a_query_of_the_installed_mlflow() -> None:
    from mlflow.server.graphql.graphql_schema_extensions import schema

    query = schema.graphql_schema.query_type
    assert query is not None
    assert set(query.fields) - FIELDS == {"mlflowListArtifacts", "test"}
    assert set(query.fields) >= FIELDS
