"""How many questions that only a person can answer are open about a version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from factory_assets.audit.requirements.catalogue import applying_to
from factory_assets.audit.requirements.statement_state import governance_state
from factory_assets.declarations import folders, governance
from factory_assets.declarations.loader import load_pipeline
from factory_assets.results.record_graph import RecordGraph
from factory_assets.web.auditor.index import AuditIndex
from factory_assets.web.auditor.remembered import Remembered
from factory_assets.web.pages.pipeline_states import stamp_of
from factory_resources.errors import FactoryError
from factory_resources.home.file_stamp import FileStamp
from factory_resources.home.home import Home
from factory_resources.ledger.statements import statement_file

_REMEMBERED = 1_000
"""Versions."""

Change = tuple[int, tuple[FileStamp | None, ...]]
"""The last entry about a pipeline, and the stamps of its files and of its signed statements."""

History = Callable[[int], RecordGraph]
"""Returns at least the records behind a version of a pipeline."""


class OpenQuestions:
    """The open questions of one home; may be used by several threads.

    They are counted anew when the ledger says something new of the pipeline, or its files change.
    """

    def __init__(self, home: Home, index: AuditIndex) -> None:
        self._home, self._index = home, index
        self._known = Remembered[tuple[str, int, Change], int | None](_REMEMBERED)

    def count(self, folder: Path, version: int, history: History) -> int | None:
        """Return how many of those that apply are not answered, or not any more.

        None if that cannot be read.
        """
        key = folder.name, version, last_change(folder, self._home, self._index)
        return self._known.get(key, lambda: self._counted(folder, version, history))

    def _counted(self, folder: Path, version: int, history: History) -> int | None:
        try:
            pipeline = load_pipeline(folder)
            states = governance_state(pipeline, self._home, version, history(version))
        except FactoryError:
            return None
        applying = applying_to(pipeline.spec.risk.tier)
        return sum(one.state != "signed" for one in states if one.requirement.applies in applying)


def last_change(folder: Path, home: Home, index: AuditIndex) -> Change:
    """Return what differs once the ledger says something new of a pipeline, or its files change."""
    declared = (folder / folders.FILE, folder / governance.FILE)
    signed = sorted(statement_file(home, folder.name, "").parent.glob("*.json"))
    return index.last_number(folder.name), tuple(map(stamp_of, (*declared, *signed)))
