"""Every operation of the installed Dagster is on exactly one list."""

import pytest

from factory_assets.web.dagster.operations import (
    MUTATIONS,
    QUERIES,
    REFUSED,
    REFUSED_PERMISSIONS,
    SUBSCRIPTIONS,
)

_META = {"__schema", "__type"}


def _fields(kind: str) -> set[str]:
    from dagster_graphql.schema import create_schema

    return set(getattr(create_schema().graphql_schema, f"{kind}_type").fields)


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [("query", QUERIES), ("mutation", MUTATIONS), ("subscription", SUBSCRIPTIONS)],
)
def test_somebody_decided_about_every_operation_of_this_release(
    kind: str, allowed: frozenset[str]
) -> None:
    offered = _fields(kind)
    assert offered - allowed - set(REFUSED) == set(), "put each on a list of `operations`"
    assert allowed - offered == set(), "Dagster no longer has these"
    assert allowed & set(REFUSED) == set()


def test_what_is_refused_exists_and_has_a_reason() -> None:
    assert set(REFUSED) <= _fields("query") | _fields("mutation") | _META
    assert all(REFUSED.values())


def test_the_permissions_that_nobody_has_are_permissions_of_dagster() -> None:
    from dagster._core.workspace.permissions import EDITOR_PERMISSIONS

    assert set(map(str, EDITOR_PERMISSIONS)) >= REFUSED_PERMISSIONS
