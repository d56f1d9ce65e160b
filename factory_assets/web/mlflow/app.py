"""The ASGI application behind `/mlflow`: lets through what is on the list, and records the rest.

It expects requests that passed the guard and carry a visitor.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs

from factory_assets.web.access_log import AccessLog
from factory_assets.web.mlflow import page, responses
from factory_assets.web.mlflow.artifacts import Artifacts
from factory_assets.web.mlflow.endpoints import (
    Endpoint,
    OperationRefusedError,
    find_endpoint,
    why_refused,
)
from factory_assets.web.mlflow.queries import checked_query
from factory_assets.web.mlflow.writes import checked_write
from factory_assets.web.mlflow.wsgi import WsgiApp, ask
from factory_assets.web.visitor import Visitor, visitor_of
from factory_resources.errors import ModelError, StorageError
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import require_server
from factory_resources.ledger.access_entries import RefusalReason
from factory_resources.security.offline import go_offline
from factory_resources.security.request_guard import App, Message, Receive, Send
from factory_resources.tracking.registry import Registry

_HEADERS = frozenset(
    {b"host", b"accept", b"content-type", b"if-none-match", b"if-modified-since", b"user-agent"}
)
"""What MLflow is told of a request; not the session, nor headers that rename the method."""

_FIELDS = 10
"""Fields of the address of a file; the UI's have three at most."""

_T = TypeVar("_T")


def mlflow_app(home: Home, prefix: str, access_log: AccessLog) -> App:
    """Return MLflow's UI for one home, which is prepared.

    MLflow reads its settings from the environment when it is imported, so a process can serve
    one home only.

    Args:
        prefix: such as `/mlflow`; the requests' paths contain it.
    """
    go_offline()
    os.environ.update(_settings(home, prefix))
    from mlflow.server import app

    return MlflowApp(app, home, prefix, access_log, Path(str(app.static_folder)))


def _settings(home: Home, prefix: str) -> dict[str, str]:
    address = Registry(home).uri
    return {
        "_MLFLOW_SERVER_FILE_STORE": address,
        "_MLFLOW_SERVER_REGISTRY_STORE": address,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": home.artifacts.as_uri(),
        "_MLFLOW_STATIC_PREFIX": prefix,
        # Files are served here, and only those of a run.
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "false",
        # Its eight job processes of 220 MB each run what the factory does not have.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        # The guard checks hosts and origins. MLflow would let pages of any port of this machine
        # read with the visitor's session, and refuse the host names that the guard was given.
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",
    }


class MlflowApp:
    """See `mlflow_app`."""

    def __init__(
        self, app: WsgiApp, home: Home, prefix: str, access_log: AccessLog, ui: Path
    ) -> None:
        self._app, self._prefix, self._log = app, prefix, access_log
        self._artifacts = Artifacts(home)
        self._index = page.index(ui)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403})
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"].removeprefix(self._prefix)
        if (method, path) == ("GET", ""):
            location = (b"location", f"{self._prefix}/".encode())
            await responses.send_text(send, b"", b"text/plain", 302, location)
        elif (method, path) == ("GET", page.START):
            await responses.send_text(send, page.SCRIPT, b"text/javascript")
        else:
            is_below = scope["path"].startswith(f"{self._prefix}/")
            endpoint = find_endpoint(method, path) if is_below else None
            if endpoint and (endpoint.access != "write" or visitor_of(scope).may_act()):
                await self._answer(endpoint, scope, receive, send)
            else:
                await self._refuse(scope, send, "not allowed", why_refused(endpoint, path))

    async def _answer(
        self, endpoint: Endpoint, scope: Message, receive: Receive, send: Send
    ) -> None:
        try:
            if endpoint.access == "page":
                await responses.send_text(send, self._index, b"text/html; charset=utf-8")
            elif endpoint.access == "absent":
                await responses.send_error(send, 404, "ENDPOINT_NOT_FOUND", "not here")
            elif endpoint.access == "files":
                await self._file(endpoint, scope, send)
            else:
                body = await responses.read_body(receive)
                if body is not None:
                    await self._ask_mlflow(endpoint, scope, body, send)
        except responses.BodyTooLargeError:
            await self._refuse(scope, send, "malformed request", "the body is too large")
        except OperationRefusedError as error:
            await self._refuse(scope, send, "not allowed", str(error))
        except ModelError as error:
            await responses.send_error(send, 404, "RESOURCE_DOES_NOT_EXIST", str(error))
        except StorageError as error:
            await responses.send_error(send, 503, "TEMPORARILY_UNAVAILABLE", str(error))

    async def _ask_mlflow(
        self, endpoint: Endpoint, scope: Message, body: bytes, send: Send
    ) -> None:
        query = scope["query_string"] if endpoint.method == "GET" else b""
        if endpoint.method == "GET":
            body = b""
        elif endpoint.access == "query":
            body = checked_query(body)
        elif endpoint.access == "write":
            body, about = checked_write(endpoint.route, body)
            await _in_thread(
                lambda: self._log.acts(visitor_of(scope), "mlflow", (_operation(scope),), about)
            )
        await _in_thread(require_server)
        headers = [pair for pair in scope["headers"] if pair[0].lower() in _HEADERS]
        inner = {**scope, "headers": headers, "query_string": query}
        await ask(self._app, inner, body, send)

    async def _file(self, endpoint: Endpoint, scope: Message, send: Send) -> None:
        given = _fields(scope["query_string"])
        folder = await _in_thread(lambda: self._folder(endpoint, scope, given))
        path = given.get("path") or given.get("artifact_file_path")
        if endpoint.route.endswith(("/list", "/directories")):
            within = path or given.get("artifact_directory_path") or ""
            entries = await _in_thread(lambda: self._artifacts.entries(folder, within))
            files = [vars(entry) for entry in entries]
            await responses.send_json(send, {"root_uri": folder.as_uri(), "files": files})
        else:
            file = await _in_thread(lambda: self._artifacts.open_file(folder, path or ""))
            await responses.send_file(send, file, path or "")

    def _folder(self, endpoint: Endpoint, scope: Message, given: dict[str, str]) -> Path:
        model_id = endpoint.argument(scope["path"].removeprefix(self._prefix))
        if model_id:
            return self._artifacts.of_logged_model(model_id)
        if endpoint.route == "/model-versions/get-artifact":
            return self._artifacts.of_version(given.get("name", ""), given.get("version", ""))
        return self._artifacts.of_run(given.get("run_id") or given.get("run_uuid") or "")

    async def _refuse(self, scope: Message, send: Send, reason: RefusalReason, why: str) -> None:
        visitor: Visitor = visitor_of(scope)
        # It is refused even if that cannot be entered.
        with suppress(StorageError):
            await _in_thread(lambda: self._log.refused(reason, _operation(scope), visitor))
        await responses.send_error(send, 403, "PERMISSION_DENIED", f"refused: {why}")


def _fields(query: bytes) -> dict[str, str]:
    try:
        asked = parse_qs(query.decode("latin-1"), max_num_fields=_FIELDS)
    except ValueError as error:
        what = f"the address has more than {_FIELDS} fields"
        raise OperationRefusedError(what, remedy="name a run and a path") from error
    return {name: values[-1] for name, values in asked.items()}


def _operation(scope: Message) -> str:
    return f"{scope['method']} {scope['path']}"


async def _in_thread(work: Callable[[], _T]) -> _T:
    from anyio.to_thread import run_sync

    return await run_sync(work)
