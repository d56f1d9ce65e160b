"""The columns of a source that no page shows: those that any declaration about it calls sensitive.

Today's declarations count, and those under which stages were computed and versions trained: a
column does not cease to be sensitive because a declaration ceases to say so. What is shown belongs
in `source_view`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from factory_assets.audit.trace.sources import Folders
from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.declaration_files import (
    names_in_sources,
    sensitive_source_columns,
    stored_declarations,
)
from factory_assets.execution.provenance import provenance_digest, read_provenance
from factory_assets.spec import PipelineSpec
from factory_assets.web.auditor.index import AuditIndex
from factory_resources.erasure.manifest import is_gone
from factory_resources.errors import RefusedError
from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry


class SensitiveSources:
    """The sensitive columns of one home's sources; may be used by several threads.

    A recorded declaration never changes, so it is read once.
    """

    def __init__(self, home: Home, index: AuditIndex) -> None:
        self._home, self._index = home, index
        self._of_declaration = cache(lambda file: frozenset(sensitive_source_columns(file)))
        self._of_version = cache(self._read)

    def of(self, pipelines: Iterable[str], folders: Folders) -> tuple[str, ...]:
        """Return the columns that a pipeline calls or called sensitive, as its sources call them.

        Args:
            pipelines: those that read the source.

        Raises:
            RefusedError: they are unknown, since a pipeline is not declared any more.
            ModelError: the declaration under which a version was trained cannot be read.
            StorageError: a declaration under which a stage was computed cannot be read.
        """
        found: set[str] = set()
        for name in set(pipelines):
            if name not in folders:
                raise RefusedError(
                    f"{name} is not declared any more, so it is unknown what is sensitive in it",
                    remedy="restore its declaration to see the file here",
                )
            declared = load_pipeline(folders[name])
            found |= _named(declared.spec, sensitive_columns(declared))
            for declaration in stored_declarations(name, self._home):
                found |= self._of_declaration(declaration)
            for version in self._index.versions(name):
                found |= self._of_version(name, version)
        return tuple(sorted(found))

    def _read(self, name: str, version: int) -> frozenset[str]:
        registry = Registry(self._home)
        if registry.registered(name, version) is None or is_gone(self._home, name, version):
            # It was removed or erased, and its declaration with it.
            return frozenset()
        registered = registry.version(name, version)
        if provenance_digest(registered, self._home) is None:
            # It is older than such records.
            return frozenset()
        spec = read_provenance(registered, self._home).declaration
        return _named(spec, (c.name for c in spec.ingest.contract.columns if c.sensitive))


def _named(spec: PipelineSpec, columns: Iterable[str]) -> frozenset[str]:
    sensitive, ingest = frozenset(columns), spec.ingest
    named = [one.source or one.name for one in ingest.contract.columns if one.name in sensitive]
    joins = [join.model_dump(mode="json") for join in ingest.joins.values()]
    return names_in_sources(named, joins)
