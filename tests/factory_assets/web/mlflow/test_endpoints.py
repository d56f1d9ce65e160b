"""Every route of the installed MLflow: decided on, and refused unless it is on the list."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any, get_args
from urllib.parse import urlencode

import pytest

from factory_assets.spec.people import Role
from factory_assets.web.mlflow.endpoints import (
    ABSENT,
    FILES,
    READS,
    REFUSED,
    WRITES,
    Endpoint,
    find_endpoint,
)
from tests.factory_assets.web.mlflow.conftest import PREFIX, MlflowSite

LISTED = {(one.method, one.route): one for one in (*READS, *FILES, *WRITES, *ABSENT)}


def installed() -> list[tuple[str, str]]:
    """Return method and path, as MLflow writes it, of every route of the installed MLflow."""
    from mlflow.server.fastapi_app import app

    return sorted({*served(), *_of_routes(app.routes, "")})


def served() -> set[tuple[str, str]]:
    """Return those of the application that the front door asks, without what MLflow puts around."""
    from mlflow.server import app

    return {
        (method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods or ()
    }


def _of_routes(routes: list[Any], prefix: str) -> Iterator[tuple[str, str]]:
    for route in routes:
        if (included := getattr(route, "original_router", None)) is not None:
            yield from _of_routes(included.routes, prefix + route.include_context.prefix)
        elif methods := getattr(route, "methods", None):
            yield from ((method, prefix + route.path) for method in methods)


def below(path: str) -> str:
    """Return the path without the prefix of the UI; a few routes have none."""
    return path.removeprefix(PREFIX)


def test_every_route_of_the_installed_mlflow_was_decided_on(factory: MlflowSite) -> None:
    routes = installed()
    assert len(routes) > 400, "the routers are listed in another way"
    undecided = {
        (method, below(path))
        for method, path in routes
        if method not in ("HEAD", "OPTIONS")
        and (method, below(path)) not in LISTED
        and not any(below(path) == start or (below(path).startswith(start)) for start in REFUSED)
    }
    assert not undecided


def test_every_listed_endpoint_exists_in_the_installed_mlflow(factory: MlflowSite) -> None:
    there = {(method, below(path)) for method, path in served()}
    unknown = {key for key, one in LISTED.items() if key not in there and one not in ABSENT}
    assert not unknown


@pytest.mark.parametrize("role", get_args(Role))
def test_a_role_is_refused_what_is_not_on_the_list_and_every_refusal_is_entered(
    factory: MlflowSite, role: Role
) -> None:
    before, refused = factory.refusals(), 0
    for method, route in installed():
        path = re.sub(r"[<{][^>}]*[>}]", "x1", route)
        one = find_endpoint(method, below(path)) if path.startswith(PREFIX) else None
        if one is None or (one.access == "write" and role != "engineer"):
            assert factory.ask(method, path, role=role, body={}).status == 403, (method, path)
            refused += 1
        elif one.access in ("read", "page") and role == "auditor":
            assert factory.ask(method, path, role=role, body={}).status != 403, (method, path)
    assert refused > 700
    assert factory.refusals() - before == refused


def test_an_auditor_changes_nothing_whatever_is_asked(factory: MlflowSite) -> None:
    def rows() -> list[str]:
        with closing(sqlite3.connect(factory.home.mlflow_database)) as database:
            return list(database.iterdump())

    known = {"run_id": factory.run_id, "experiment_id": factory.experiment_id, "name": "m"}
    body = {**known, "version": "1", "key": "k", "value": "v", "alias": "champion"}
    before, acted = rows(), len(factory.actions())
    for method, route in installed():
        path = re.sub(r"[<{][^>}]*[>}]", factory.model_id, route)
        factory.ask(method, path, role="auditor", body=body, query=urlencode(known))
    assert rows() == before
    assert len(factory.actions()) == acted


@pytest.mark.parametrize(
    "path",
    [
        "/mlflow/mlflow/graphql",
        "/mlflow//ajax-api/2.0/mlflow/runs/get",
        "//mlflow/ajax-api/2.0/mlflow/runs/get",
        "/mlflow/ajax-api/2.0/mlflow/runs/get/",
        "/mlflow/ajax-api/2.0/mlflow/runs/../runs/get",
        "/mlflow/ajax-api/2.0/mlflow/runs/./get",
        "/mlflow/ajax-api/2.0/mlflow/runs%2Fget",
        "/mlflow/ajax-api/2.0/mlflow/runs/get;a=b",
        "/mlflow/ajax-api/2.0/mlflow/runs/get\0",
        "/mlflow/ajax-api/2.0/mlflow/runs/get\n",
        "/mlflow/AJAX-API/2.0/mlflow/runs/get",
        "/mlflow/ajax-api/2.0/mlflow/logged-models/..",
        "/mlflow/ajax-api/2.0/mlflow/logged-models/a/artifacts/files/../../b",
        "/mlflow/static-files/../index.html",
        "/mlflow/static-files/a/../../x",
        "/mlflow/static-files//etc/passwd",
        "/mlflow/static-files/.hidden",
        "/mlflow/static-files/a\\b",
        "/mlflowajax-api/2.0/mlflow/runs/get",
        "/ajax-api/2.0/mlflow/runs/get",
        "/api/2.0/mlflow-artifacts/artifacts/m",
        "/build/index.html",
    ],
)
def test_a_path_written_in_another_way_is_refused(factory: MlflowSite, path: str) -> None:
    assert factory.ask("GET", path, query=f"run_id={factory.run_id}").status == 403


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "get", "TRACE", "PUT", "DELETE"])
def test_another_method_than_the_listed_one_is_refused(factory: MlflowSite, method: str) -> None:
    assert factory.ask(method, f"{PREFIX}/ajax-api/2.0/mlflow/runs/get").status == 403


def test_a_parameter_of_a_route_is_one_segment_of_letters_digits_and_dashes() -> None:
    one = Endpoint("GET", "/logged-models/<model_id>/tags", "read")
    assert one.argument("/logged-models/m-1_b/tags") == "m-1_b"
    for path in ("/logged-models//tags", "/logged-models/a/b/tags", "/logged-models/../tags"):
        assert not one.matches("GET", path)
    assert not one.matches("POST", "/logged-models/m-1/tags")
