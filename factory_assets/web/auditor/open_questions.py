"""How many questions that only a person can answer are open about a version."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from factory_assets.audit.requirements.catalogue import Applies
from factory_assets.audit.requirements.statement_state import governance_state
from factory_assets.declarations import folders, governance
from factory_assets.declarations.loader import load_pipeline
from factory_assets.spec import Pipeline
from factory_assets.web.auditor.index import AuditIndex
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home

_Stamp = tuple[int, int, int] | None

_Key = tuple[int, int, _Stamp, _Stamp]
"""The version, the last entry about the pipeline, and the stamps of its files."""


class OpenQuestions:
    """The open questions of one home; may be used by several threads.

    They are counted anew when the ledger says something new of the pipeline, or its files change.
    """

    def __init__(self, home: Home, index: AuditIndex) -> None:
        self._home, self._index = home, index
        self._lock = threading.Lock()
        self._known: dict[str, tuple[_Key, int | None]] = {}

    def count(self, folder: Path, version: int) -> int | None:
        """Return how many of those that apply are not answered, or not any more.

        None if that cannot be read.
        """
        name = folder.name
        last = self._index.last_number(name)
        key = (version, last, _stamp(folder / folders.FILE), _stamp(folder / governance.FILE))
        with self._lock:
            known = self._known.get(name)
        if known is None or known[0] != key:
            known = key, self._counted(folder, version)
            with self._lock:
                self._known[name] = known
        return known[1]

    def _counted(self, folder: Path, version: int) -> int | None:
        try:
            pipeline = load_pipeline(folder)
            states = governance_state(pipeline, self._home, version)
        except FactoryError:
            return None
        applying = applying_to(pipeline)
        return sum(one.state != "signed" for one in states if one.requirement.applies in applying)


def applying_to(pipeline: Pipeline) -> frozenset[Applies]:
    """Return to what a requirement must apply, to apply to a pipeline.

    Whether it is a part of a product is not declared: those requirements are not counted.
    """
    return frozenset({"all", "high"} if pipeline.spec.risk.tier == "high" else {"all"})


def _stamp(file: Path) -> _Stamp:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
