"""Which of MLflow's endpoints may be asked, by whom; what is not listed here is refused.

What an allowed write may contain is decided in `writes`, and an allowed GraphQL query in `queries`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from factory_resources.errors import FactoryError

Access = Literal["read", "write", "query", "files", "page", "absent"]

_V2, _V3 = "/ajax-api/2.0/mlflow", "/ajax-api/3.0/mlflow"


class OperationRefusedError(FactoryError):
    """An operation that is not on the list, or a body that asks for something else."""


@dataclass(frozen=True)
class Endpoint:
    """A method and a route as MLflow writes it, without the prefix of the UI."""

    method: str
    route: str
    access: Access

    def matches(self, method: str, path: str) -> bool:
        return method == self.method and self._pattern.fullmatch(path) is not None

    def argument(self, path: str) -> str | None:
        """Return the part of the path that the route's parameter stands for, if it has one."""
        match = self._pattern.fullmatch(path)
        return match[1] if match and match.groups() else None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        route = re.escape(self.route)
        # Segments begin with a letter or digit: neither `..` nor an empty one gets through.
        route = route.replace("<path:path>", r"(\w[\w.~-]*(?:/\w[\w.~-]*)*)")
        return re.compile(re.sub("<[a-z_]+>", r"(\\w[\\w-]*)", route), re.ASCII)


def _each(access: Access, base: str, lines: str) -> Iterator[Endpoint]:
    """Yield the endpoints of lines such as `GET runs/get runs/other`."""
    for method, *routes in map(str.split, lines.strip().splitlines()):
        for route in routes:
            yield Endpoint(method, f"{base}/{route}", access)


READS = (
    *_each("read", "", "GET health version static-files/<path:path>"),
    *_each(
        "read",
        _V2,
        """
        GET experiments/get experiments/get-by-name experiments/search
        POST experiments/search experiments/search-datasets
        GET runs/get metrics/get-history
        GET metrics/get-history-bulk metrics/get-history-bulk-interval
        POST runs/search
        GET registered-models/get registered-models/search registered-models/alias
        GET registered-models/get-latest-versions
        POST registered-models/get-latest-versions
        GET model-versions/get model-versions/search
        GET logged-models/<model_id>
        POST logged-models/search
        """,
    ),
    *_each(
        "read",
        _V3,
        """
        GET server-info ui-telemetry
        POST traces/search traces/metrics
        """,
    ),
    Endpoint("POST", "/graphql", "query"),
    Endpoint("GET", "/", "page"),
)
"""For every role. The UI asks for nothing but these."""

FILES = (
    Endpoint("GET", "/get-artifact", "files"),
    Endpoint("GET", "/model-versions/get-artifact", "files"),
    *_each(
        "files",
        _V2,
        """
        GET artifacts/list
        GET logged-models/<model_id>/artifacts/files
        GET logged-models/<model_id>/artifacts/directories
        """,
    ),
)
"""For every role, and answered by `artifacts`: MLflow would follow symbolic links."""

WRITES = tuple(
    _each(
        "write",
        _V2,
        """
        POST runs/set-tag runs/delete-tag
        POST experiments/set-experiment-tag experiments/delete-experiment-tag
        POST registered-models/set-tag model-versions/set-tag
        DELETE registered-models/delete-tag model-versions/delete-tag
        PATCH registered-models/update model-versions/update
        """,
    )
)
"""For an engineer: notes of people, which the factory does not read."""

ABSENT = (
    *_each("absent", _V2, "GET users/current gateway-proxy"),
    *_each("absent", _V3, "GET assistant/config assistant/providers"),
)
"""What every page asks for by itself and the factory does not have: 404, and no refusal."""

_BY_FACTORY = "only the factory's own runs record this"
_BY_LEDGER = "the ledger says which version serves; use `factory approve`"
_NOT_HERE = "the factory has no language models, prompts or traces"

REFUSED = {
    "/api/": "for MLflow's clients; the UI asks `/ajax-api/`",
    "/build/": "the UI's files are at `/static-files/`",
    "/graphql": "a query that changes something, or by GET",
    f"{_V2}/experiments/create": _BY_FACTORY,
    f"{_V2}/experiments/delete": _BY_FACTORY,
    f"{_V2}/experiments/restore": _BY_FACTORY,
    f"{_V2}/experiments/update": _BY_FACTORY,
    f"{_V2}/runs/create": _BY_FACTORY,
    f"{_V2}/runs/create-promptlab-run": _NOT_HERE,
    f"{_V2}/runs/update": _BY_FACTORY,
    f"{_V2}/runs/delete": _BY_FACTORY,
    f"{_V2}/runs/restore": _BY_FACTORY,
    f"{_V2}/runs/log-metric": _BY_FACTORY,
    f"{_V2}/runs/log-parameter": _BY_FACTORY,
    f"{_V2}/runs/log-batch": _BY_FACTORY,
    f"{_V2}/runs/log-model": _BY_FACTORY,
    f"{_V2}/runs/log-inputs": _BY_FACTORY,
    f"{_V2}/runs/outputs": _BY_FACTORY,
    f"{_V2}/logged-models": _BY_FACTORY,
    f"{_V2}/logged-models/": _BY_FACTORY,
    f"{_V2}/registered-models/create": _BY_FACTORY,
    f"{_V2}/registered-models/rename": _BY_FACTORY,
    f"{_V2}/registered-models/delete": _BY_FACTORY,
    f"{_V2}/registered-models/alias": _BY_LEDGER,
    f"{_V2}/model-versions/create": _BY_FACTORY,
    f"{_V2}/model-versions/delete": _BY_FACTORY,
    f"{_V2}/model-versions/transition-stage": _BY_LEDGER,
    f"{_V2}/model-versions/get-download-uri": "a path on this machine",
    f"{_V2}/upload-artifact": _BY_FACTORY,
    f"{_V2}/artifacts/presigned-": "files are served here or not at all",
    "/ajax-api/2.0/mlflow-artifacts/": "any file of any run, without asking whose it is",
    f"{_V2}/webhooks": "sends to other machines",
    f"{_V2}/gateway-proxy": "sends to other machines",
    f"{_V3}/gateway/": "sends to other machines",
    "/gateway/": "sends to other machines",
    f"{_V3}/ui-telemetry": "counts what people click",
    f"{_V3}/assistant": "runs commands on this machine",
    f"{_V3}/jobs/": "runs commands on this machine",
    "/ajax-api/3.0/jobs": "runs commands on this machine",
    f"{_V3}/demo/": _BY_FACTORY,
    f"{_V3}/workspaces": "one factory is one workspace",
    "/ajax-api/2.0mlflow/": "a misspelt route of MLflow",
    "/v1/": _NOT_HERE,
    f"{_V2}/get-trace-artifact": _NOT_HERE,
    f"{_V2}/get-online-trace-details": _NOT_HERE,
    f"{_V2}/traces": _NOT_HERE,
    f"{_V2}/unified-traces": _NOT_HERE,
    f"{_V3}/datasets/": _NOT_HERE,
    f"{_V3}/genai/": _NOT_HERE,
    f"{_V3}/get-trace-artifact": _NOT_HERE,
    f"{_V3}/issues": _NOT_HERE,
    f"{_V3}/label-schemas/": _NOT_HERE,
    f"{_V3}/mcp-servers": _NOT_HERE,
    f"{_V3}/prompt-optimization/": _NOT_HERE,
    f"{_V3}/review-queues/": _NOT_HERE,
    f"{_V3}/scorer": _NOT_HERE,
    f"{_V3}/traces": _NOT_HERE,
}
"""Why the other routes are refused, by their beginning where it ends in `/`, `-` or a family."""


_LISTED = (*READS, *FILES, *WRITES, *ABSENT)
_EXACT = {(one.method, one.route): one for one in _LISTED if "<" not in one.route}
_PATTERNS = tuple(one for one in _LISTED if "<" in one.route)


def find_endpoint(method: str, path: str) -> Endpoint | None:
    """Return the endpoint of a request; None if the request is to be refused.

    Args:
        path: decoded, as the application sees it, without the prefix of the UI.
    """
    found = _EXACT.get((method, path))
    return found or next((one for one in _PATTERNS if one.matches(method, path)), None)


def why_refused(endpoint: Endpoint | None, path: str) -> str:
    """Return why a request is refused.

    Args:
        endpoint: the one of the request, if it is listed: then the visitor is no engineer.
        path: as for `find_endpoint`.
    """
    if endpoint is not None:
        return "only an engineer may"
    known = [start for start in REFUSED if path.startswith(start)]
    return REFUSED[max(known, key=len)] if known else "not on the list of operations"
