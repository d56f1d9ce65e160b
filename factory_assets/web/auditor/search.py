"""Find what a text names: an answer, a version, an entry, a digest, a file, a person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from urllib.parse import quote

from factory_assets.web.auditor.index import AuditIndex
from factory_assets.web.auditor.paths import pipeline_path, source_path
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import PersonChanged
from factory_resources.ledger.ledger import entries_in, entry_in
from factory_resources.ledger.log import Log
from factory_resources.prediction_log.ids import parse
from factory_resources.security.commitments import Commitments

MOST = 50
"""Hits that are listed."""

_LONGEST = 2_000
"""Characters of what is searched for: a public key has some hundred."""

_VERSION = re.compile(r"([a-z][a-z0-9_]{0,63})@(champion|[1-9][0-9]{0,8})")

_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})")

_ENTRY = re.compile(r"(?:entry\s+)?([0-9]{1,12}|[0-9]{1,3}(?:,[0-9]{3}){1,3})", re.IGNORECASE)
"""The number of an entry, or what pages write of one: `entry 1,234`."""


@dataclass(frozen=True)
class Hit:
    """Something that was found."""

    kind: str
    title: str
    href: str
    detail: str = ""


@dataclass(frozen=True)
class AuditSearch:
    """Searches one home."""

    home: Home
    index: AuditIndex

    def find(self, log: Log, text: str) -> list[Hit]:
        """Return what a text names, what it is most likely to mean first."""
        wanted = text.strip()
        if not wanted or len(wanted) > _LONGEST:
            return []
        hits = {hit.href: hit for hit in islice(self._hits(log, wanted), MOST)}
        return [*hits.values()]

    def _hits(self, log: Log, wanted: str) -> Iterator[Hit]:
        if is_answer_id(wanted):
            yield Hit("answer", wanted, f"/audit/answers/{quote(wanted)}")
            return
        yield from self._versions(wanted)
        if found := _ENTRY.fullmatch(wanted):
            number = int(found[1].replace(",", ""))
            if number < log.size:
                yield self._entry(log, number)
        if digest := _DIGEST.fullmatch(wanted.lower()):
            yield from self._digests(log, digest[1])
        elif len(wanted) > 1:
            yield from self._files(wanted)
        yield from self._people(log, wanted)

    def _versions(self, wanted: str) -> Iterator[Hit]:
        lower = wanted.lower()
        if named := _VERSION.fullmatch(lower):
            pipeline, version = named[1], named[2]
            if version == "champion":
                champions = self.index.acts(pipeline, "champion")
                version = str(champions[-1].version) if champions else "0"
            if self.index.has_version(pipeline, int(version)):
                title = f"{pipeline}@{version}"
                yield Hit("version", title, pipeline_path(pipeline, int(version)))
        elif lower in self.index.pipelines():
            yield Hit("pipeline", lower, pipeline_path(lower))

    def _digests(self, log: Log, digest: str) -> Iterator[Hit]:
        for source in self.index.sources_called(digest, MOST):
            yield _file(source.name, source.sha256)
        for number in self.index.numbers(digest, MOST):
            yield self._entry(log, number)

    def _files(self, wanted: str) -> Iterator[Hit]:
        for source in self.index.sources_called(wanted, MOST):
            yield _file(source.name, source.sha256)

    def _people(self, log: Log, wanted: str) -> Iterator[Hit]:
        """Yield the entries about a person of this name or with this public key."""
        names, key = Commitments(self.home).names("person"), " ".join(wanted.split()[:3])
        for commitment, keys in _keys(log).items():
            name = names.get(commitment)
            has_key = any(key in (one, *one.split()[1:]) for one in keys)
            is_called = name is not None and name.casefold() == wanted.casefold()
            if not is_called and not has_key:
                continue
            for number in self.index.numbers(commitment, MOST):
                yield self._entry(log, number, name or "")

    def _entry(self, log: Log, number: int, detail: str = "") -> Hit:
        entry = entry_in(log, number)
        about = detail or str(getattr(entry, "subject", "")) or ""
        return Hit(f"entry: {entry.kind}", f"entry {number}", f"/audit/entries/{number}", about)


def _keys(log: Log) -> dict[str, set[str]]:
    """Return the keys that people have, or had before, by commitment; some have none."""
    keys: dict[str, set[str]] = {}
    for _, entry in reversed([*entries_in(log, PersonChanged, PersonChanged.subject_of())]):
        keys.setdefault(entry.person, set()).update(entry.keys)
    return keys


def _file(name: str, digest: str) -> Hit:
    return Hit("source", name, source_path(digest, name), f"sha256:{digest}")


def is_answer_id(text: str) -> bool:
    """Whether the text is the id of an answer, whether there is one or not."""
    try:
        parse(text)
    except UnknownNameError:
        return False
    return True
