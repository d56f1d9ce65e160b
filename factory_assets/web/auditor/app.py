"""The ASGI application behind `/audit`: which page is at which address, and who may read it.

Auditors, engineers and approvers may read every page: nothing here changes the factory. Each page
is read from the ledger and the records when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from factory_assets.audit.trace.answer.finding import find_answer
from factory_assets.audit.trace.answer.trace import trace_answer
from factory_assets.declarations.folders import folders_by_name
from factory_assets.web.access_log import AccessLog
from factory_assets.web.auditor.answers import is_proven, proof_of
from factory_assets.web.auditor.entry_view import checkpoint_of, entry_body, entry_proof, entry_view
from factory_assets.web.auditor.influences import Influences
from factory_assets.web.auditor.paths import pipeline_path, source_path
from factory_assets.web.auditor.reading import AuditReader, number_in, version_in
from factory_assets.web.auditor.verification import Verifications
from factory_assets.web.auditor.version_files import (
    VERSION_FILES,
    VersionFileMaker,
    VersionFileResponse,
)
from factory_assets.web.lineage.graph import ROW_WORDS
from factory_assets.web.pages.errors import error_handlers, error_page
from factory_assets.web.pages.forms import Forms, OtherSiteError
from factory_assets.web.pages.numbers import number_in_path
from factory_assets.web.pages.rendering import page
from factory_assets.web.visitor import visitor_of
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.log import Log
from factory_resources.prediction_log.proofs import with_entry

READERS = frozenset({"auditor", "engineer", "approver"})
"""The roles that may read."""

_PATIENCE = 0.5
"""Seconds that a page waits for the index before it says how far it is."""

Handler = Callable[[Request], Response]


def auditor_app(home: Home, log: AccessLog, cookie: str) -> Starlette:
    """Return the application; every request has a visitor. The ledger is being indexed.

    Args:
        cookie: the name of the cookie with the session.
    """
    forms = Forms(cookie)
    made = _Auditor(home, log, forms)
    made.reader.start()
    read = made.for_readers
    about = ("/audit/-/{pipeline}", "/audit/{pipeline}")
    number, version = number_in_path("number"), number_in_path("version")
    routes = [
        Route("/audit", read(made.start), methods=["GET"]),
        Route("/audit/search", read(made.search), methods=["GET"]),
        Route("/audit/ai-act/{name}", read(made.ai_act), methods=["GET"]),
        Route("/audit/verify", read(made.verification), methods=["GET"]),
        Route("/audit/verify", made.verify, methods=["POST"]),
        Route("/audit/verify/result.json", read(made.verification_json), methods=["GET"]),
        Route("/audit/verify/checkpoint", read(made.verified_checkpoint), methods=["GET"]),
        Route("/audit/checkpoint", read(made.checkpoint), methods=["GET"]),
        Route(f"/audit/entries/{number}", read(made.entry), methods=["GET"]),
        Route(f"/audit/entries/{number}.json", read(made.body), methods=["GET"]),
        Route(f"/audit/entries/{number}.tlog-proof", read(made.proof), methods=["GET"]),
        Route("/audit/answers/{id}", read(made.answer), methods=["GET"]),
        Route("/audit/answers/{id}/proof.json", read(made.answer_proof), methods=["GET"]),
        Route("/audit/files/{digest}", read(made.source), methods=["GET"]),
        *(Route(f"{path}/diff", read(made.difference), methods=["GET"]) for path in about),
        *(
            Route(f"{path}/{version}/{file}", read(made.version_file), methods=["GET"])
            for path in about
            for file in VERSION_FILES
        ),
        *(Route(f"{path}/{version}", read(made.version), methods=["GET"]) for path in about),
        *(Route(path, read(made.pipeline), methods=["GET"]) for path in about),
    ]
    return Starlette(routes=routes, exception_handlers=error_handlers(forms))


class _Auditor:
    """The handlers. Those that are no coroutines run in threads: they read files."""

    def __init__(self, home: Home, log: AccessLog, forms: Forms) -> None:
        self._home, self._log, self._forms = home, log, forms
        self.reader = AuditReader(home)
        self._verifications, self._files = Verifications(home), VersionFileMaker(home)
        self._influences = Influences(home)

    def for_readers(self, handler: Handler) -> Handler:
        """Return a handler that refuses everybody who may not read."""

        def guarded(request: Request) -> Response:
            if visitor_of(request.scope).roles & READERS:
                is_ready = self.reader.is_indexed(_PATIENCE)
                return handler(request) if is_ready else self._indexing(request)
            return self._refuse(request, "not allowed", "This page needs the role auditor.")

        return guarded

    def _indexing(self, request: Request) -> Response:
        """Say how far the index is: for a large ledger, it takes seconds."""
        with Ledger(self._home).reading() as log:
            progress = self.reader.progress(log)
            asked = request.url.path + (f"?{query}" if (query := request.url.query) else "")
            values = {"progress": progress, "asked": asked}
            answer = self._shown(request, "audit_indexing", log, 503, **values)
        answer.headers["retry-after"] = "2"
        return answer

    def start(self, request: Request) -> Response:
        overview = self.reader.overview(_page_of(request))
        verified = self._verifications.state()
        return self._page(request, "audit_start", overview=overview, verified=verified)

    def pipeline(self, request: Request) -> Response:
        view = self.reader.pipeline(request.path_params["pipeline"], _page_of(request))
        return self._page(request, "audit_pipeline", view=view)

    def version(self, request: Request) -> Response:
        view, verified = self.reader.version(*version_in(request)), self._verifications.state()
        return self._page(request, "audit_version", view=view, verified=verified)

    def difference(self, request: Request) -> Response:
        given = request.query_params
        versions = number_in(given.get("from")), number_in(given.get("to"))
        view = self.reader.difference(request.path_params["pipeline"], *versions)
        return self._page(request, "audit_difference", view=view)

    def answer(self, request: Request) -> Response:
        answer = find_answer(request.path_params["id"], self._home)
        record, block = answer.record, answer.block
        with self.reader.index.reading() as log:
            proven = is_proven(answer.id, block, log, self._home) if block else None
            history = self.reader.history(log, record.pipeline, record.version)
        influence = None
        if "influence" in request.query_params:
            influence = self._influences.of(answer.id, record.pipeline, record.version)
        trace = trace_answer(
            answer,
            self._home,
            folders=folders_by_name(),
            verify=False,
            influence=influence,
            history=history,
        )
        verified = self._verifications.state()
        values = {"trace": trace, "is_proven": proven, "verified": verified}
        return self._page(request, "audit_answer", row_words=ROW_WORDS, **values)

    def answer_proof(self, request: Request) -> Response:
        written = request.path_params["id"]
        content = with_entry(proof_of(written, self._home), self._home).format()
        return _download(content, f"{written}.proof.json", "application/json")

    def source(self, request: Request) -> Response:
        given = request.query_params
        line, row = number_in(given.get("line")), number_in(given.get("row"))
        digest, member = request.path_params["digest"], given.get("member", "")
        view = self.reader.source(digest, line, row, member)
        return self._page(request, "audit_source", view=view)

    def search(self, request: Request) -> Response:
        wanted = request.query_params.get("q", "")
        hits = self.reader.search(wanted)
        if len(hits) == 1:
            return RedirectResponse(hits[0].href, 303, {"cache-control": "no-store"})
        return self._page(request, "audit_search", wanted=wanted.strip(), hits=hits)

    def entry(self, request: Request) -> Response:
        with self.reader.index.reading() as log:
            view = entry_view(log, request.path_params["number"], self._home)
        return self._page(request, "audit_entry", view=view)

    def body(self, request: Request) -> Response:
        number = request.path_params["number"]
        with self.reader.index.reading() as log:
            content = entry_body(log, number)
        return _download(content, f"{number}.json", "application/json")

    def proof(self, request: Request) -> Response:
        number = request.path_params["number"]
        with self.reader.index.reading() as log:
            content = entry_proof(log, number)
        return _download(content, f"{number}.tlog-proof")

    def checkpoint(self, request: Request) -> Response:
        with self.reader.index.reading() as log:
            return _download(log.signed[1].encode(), "checkpoint")

    def ai_act(self, request: Request) -> Response:
        pipeline, mark, version = request.path_params["name"].partition("@")
        number = number_in(version)
        if mark and number is None:
            raise UnknownNameError(f"{version!r} is not a version", remedy="write PIPELINE@3")
        view = self.reader.ai_act(pipeline, number)
        return self._page(request, "audit_ai_act", view=view)

    def verification(self, request: Request) -> Response:
        return self._page(request, "audit_verify", state=self._verifications.state())

    async def verify(self, request: Request) -> Response:
        try:
            await self._forms.read(request)
        except OtherSiteError:
            text = "The form was not sent by this page. Open it again."
            return await run_in_threadpool(self._refuse, request, "another site", text)
        return await run_in_threadpool(self.for_readers(self._verify), request)

    def _verify(self, request: Request) -> Response:
        self._verifications.begin()
        return RedirectResponse("/audit/verify", 303, {"cache-control": "no-store"})

    def verification_json(self, request: Request) -> Response:
        return _download(self._verifications.content(), "verification.json", "application/json")

    def verified_checkpoint(self, request: Request) -> Response:
        last = self._verifications.last()
        if last is None or not last.checkpoint:
            raise UnknownNameError("no checkpoint was verified yet", remedy="verify first")
        return _download(last.checkpoint.encode(), "verified.checkpoint")

    def version_file(self, request: Request) -> Response:
        pipeline, version = version_in(request)
        self.reader.require(pipeline, version)
        file = PurePosixPath(request.url.path).name
        made = self._files.make(f"{pipeline}@{version}", file)
        return VersionFileResponse(made, f"{pipeline}-{version}-{file}")

    def _refuse(self, request: Request, reason: Any, text: str) -> Response:
        operation = f"{request.method} {request.url.path}"
        self._log.refused(reason, operation, visitor_of(request.scope))
        return error_page(request, self._forms, 403, text)

    def _page(self, request: Request, name: str, **values: Any) -> Response:
        with self.reader.index.reading() as log:
            return self._shown(request, name, log, **values)

    def _shown(
        self, request: Request, name: str, log: Log, status: int = 200, **values: Any
    ) -> Response:
        return page(
            name,
            status,
            visitor=visitor_of(request.scope),
            form_token=self._forms.token(request),
            checkpoint=checkpoint_of(log),
            now=datetime.now(UTC).isoformat(timespec="seconds"),
            path=pipeline_path,
            source_path=source_path,
            **values,
        )


def _page_of(request: Request) -> int:
    return number_in(request.query_params.get("page")) or 1


def _download(content: bytes, name: str, media_type: str = "text/plain") -> Response:
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    return Response(content, media_type=media_type, headers=headers)
