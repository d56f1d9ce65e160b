"""Read what the auditor's pages show of one home, and what their addresses ask for."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass

from starlette.requests import Request

from factory_assets.declarations.folders import folders_by_name
from factory_assets.results.record_graph import RecordGraph
from factory_assets.web.auditor.ai_act import ActReader, ActView
from factory_assets.web.auditor.data_summary import DataSummary, data_summary
from factory_assets.web.auditor.difference import VersionDifference, version_difference
from factory_assets.web.auditor.index import AuditIndex
from factory_assets.web.auditor.open_questions import OpenQuestions
from factory_assets.web.auditor.overview import AuditOverview, AuditOverviewReader
from factory_assets.web.auditor.paths import NAME
from factory_assets.web.auditor.records import CountedRecord, CountedRecords, history_of
from factory_assets.web.auditor.search import AuditSearch, Hit
from factory_assets.web.auditor.sensitive_sources import SensitiveSources
from factory_assets.web.auditor.source_view import SourceReader, SourceView
from factory_assets.web.auditor.time_line import PAGE, TimeLines, VersionLine
from factory_assets.web.auditor.version_view import VersionReader, VersionView
from factory_assets.web.pages.pipeline_states import PipelineStates
from factory_resources.errors import FactoryError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.log import Log


@dataclass(frozen=True)
class PipelineView:
    """The time line of a pipeline."""

    name: str
    lines: tuple[VersionLine, ...]
    """The newest first."""
    total: int
    page: int
    pages: int
    watt_hours: float
    data: DataSummary | None
    """What was read last, without a version; None with one, or if nothing was read."""
    records: tuple[CountedRecord, ...]
    """The records of that."""


@dataclass(frozen=True)
class IndexProgress:
    """How far the ledger is indexed."""

    indexed: int
    entries: int
    pipelines: tuple[str, ...]
    """Those of the entries that are indexed."""


class AuditReader:
    """Reads one home; may be used by several threads."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.index = AuditIndex(home)
        self._lines = TimeLines(home, self.index)
        states, questions = PipelineStates(home), OpenQuestions(home, self.index)
        self._overview = AuditOverviewReader(home, self.index, self._lines, states, questions)
        self._versions = VersionReader(home, self.index, self._lines)
        self._sources = SourceReader(home, self.index, SensitiveSources(home, self.index))
        self._acts = ActReader(home, self.index)
        self._search = AuditSearch(home, self.index)
        self._indexed = threading.Event()

    def start(self) -> None:
        """Begin to index the ledger in a thread, if there is one."""
        threading.Thread(target=self._index, name="audit-index", daemon=True).start()

    def _index(self) -> None:
        try:
            # What cannot be read, each page says itself.
            with suppress(FactoryError), self.index.reading():
                pass
        finally:
            self._indexed.set()

    def is_indexed(self, seconds: float) -> bool:
        """Whether the ledger is indexed, after waiting so long at most."""
        return self._indexed.wait(seconds)

    def progress(self, log: Log) -> IndexProgress:
        """Return how far the index is, and which pipelines it has so far."""
        return IndexProgress(self.index.size, log.size, tuple(self.index.pipelines()))

    def overview(self, page: int) -> AuditOverview:
        """Return a page of the pipelines.

        Raises:
            UnknownNameError: there is no such page.
        """
        with self.index.reading() as log:
            overview = self._overview.read(log, page, PAGE)
        _require_page(page, overview.pages)
        return overview

    def pipeline(self, name: str, page: int) -> PipelineView:
        """Return a page of the time line.

        Raises:
            UnknownNameError: no entry is about such a pipeline, or it has no such page.
        """
        with self.index.reading() as log:
            self.require(name)
            versions = self.index.versions(name)
            pages = max(1, -(-len(versions) // PAGE))
            _require_page(page, pages)
            shown = versions[(page - 1) * PAGE : page * PAGE]
            lines = self._lines.lines(log, name, shown)
            records = () if versions else self._latest(log, name)
        energy, data = self.index.watt_hours(name), data_summary(one.record for one in records)
        return PipelineView(name, tuple(lines), len(versions), page, pages, energy, data, records)

    def _latest(self, log: Log, name: str) -> tuple[CountedRecord, ...]:
        counted, stages = CountedRecords(self._home, log), ("ingest", "clean")
        return tuple(one for stage in stages for one in counted.latest(self.index, name, stage))

    def version(self, pipeline: str, version: int) -> VersionView:
        with self.index.reading() as log:
            self.require(pipeline, version)
            return self._versions.read(log, pipeline, version)

    def history(self, log: Log, pipeline: str, version: int) -> RecordGraph:
        """Return the records behind a version; none if there is no such version."""
        return history_of(log, pipeline, version, self._home, self.index)

    def difference(self, pipeline: str, before: int | None, after: int | None) -> VersionDifference:
        """Compare two versions; without numbers, the newest with the one before.

        Raises:
            UnknownNameError: there is no such version.
        """
        with self.index.reading() as log:
            self.require(pipeline)
            versions = self.index.versions(pipeline)
            if len(versions) < 2 and (before is None or after is None):
                raise UnknownNameError(
                    f"{pipeline} has no two versions", remedy="train another version first"
                )
            pair = (before or versions[1], after or versions[0])
            for version in pair:
                self.require(pipeline, version)
            old, new = (self._lines.lines(log, pipeline, [version])[0] for version in pair)
            counted = CountedRecords(self._home, log)
            behind = [
                counted.behind(counted.roots(self.index, pipeline, version)) for version in pair
            ]
        return version_difference(old, new, (behind[0], behind[1]), self._home)

    def source(
        self, digest: str, line: int | None, row: int | None, member: str = ""
    ) -> SourceView:
        with self.index.reading() as log:
            return self._sources.read(log, digest, line, row, folders_by_name(), member)

    def ai_act(self, pipeline: str, version: int | None) -> ActView:
        """Return what is on record of a version, the champion by default, for each point.

        Raises:
            UnknownNameError: there is no such version, or the pipeline is not declared any more.
        """
        with self.index.reading():
            self.require(pipeline, version)
        return self._acts.read(pipeline, version, folders_by_name())

    def search(self, wanted: str) -> list[Hit]:
        with self.index.reading() as log:
            return self._search.find(log, wanted)

    def require(self, pipeline: str, version: int | None = None) -> None:
        """Require that an entry is about the pipeline, and says that the version exists.

        Raises:
            UnknownNameError: none does.
        """
        if not NAME.fullmatch(pipeline) or pipeline not in self.index.pipelines():
            raise UnknownNameError(
                f"no entry is about a pipeline {pipeline!r}", remedy="/audit lists all"
            )
        if version is not None and not self.index.has_version(pipeline, version):
            raise UnknownNameError(
                f"{pipeline} has no version {version}", remedy="its time line lists all"
            )


def version_in(request: Request) -> tuple[str, int]:
    """Return the pipeline and the version that an address names."""
    return request.path_params["pipeline"], int(request.path_params["version"])


def number_in(text: str | None) -> int | None:
    """Return a number from 1; None for anything else."""
    is_number = text is not None and text.isascii() and text.isdecimal() and len(text) < 16
    return int(text) or None if is_number and text else None


def _require_page(page: int, pages: int) -> None:
    if page > pages:
        raise UnknownNameError(f"there is no page {page}", remedy=f"the last one is page {pages}")
