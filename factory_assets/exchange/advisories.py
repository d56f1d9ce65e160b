"""Which advisories are about a lock: names and versions of distributions.

Versions are compared by PEP 440, ranges are evaluated as the specification of OSV says. Reading the
records belongs in `osv`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from packaging.version import InvalidVersion, Version

from factory_assets.exchange.osv import OsvAffected, OsvEvent, OsvRecord
from factory_assets.execution.installed import normalized_name

ECOSYSTEM = "PyPI"


@dataclass(frozen=True)
class AdvisoryFinding:
    """An advisory about a distribution of the lock."""

    id: str
    aliases: tuple[str, ...]
    summary: str
    name: str
    version: str
    fixed: tuple[str, ...]
    """Versions in which it is fixed, as the advisory lists them."""
    undecided: bool = False
    """Whether its versions cannot be compared, so that a person has to look."""


@dataclass(frozen=True)
class AdvisoryReport:
    """What a file of advisories says of a lock."""

    distributions: int
    advisories: int
    """Those about PyPI that were not withdrawn."""
    newest: datetime | None
    """When the newest of all records was changed; None without records about PyPI."""
    findings: tuple[AdvisoryFinding, ...]


def compare_advisories(lock: Mapping[str, str], records: Iterable[OsvRecord]) -> AdvisoryReport:
    """Compare a lock, name to version, with advisories."""
    installed = {normalized_name(name): version for name, version in lock.items()}
    count, newest = 0, None
    findings: list[AdvisoryFinding] = []
    for record in records:
        affected = [one for one in record.affected if _is_python(one)]
        if not affected:
            continue
        newest = max(newest, record.modified) if newest else record.modified
        if record.withdrawn is None:
            count += 1
            findings += _findings(record, affected, installed)
    findings.sort(key=lambda one: (one.name, one.id))
    return AdvisoryReport(len(lock), count, newest, tuple(findings))


def _is_python(affected: OsvAffected) -> bool:
    return affected.package is not None and affected.package.ecosystem == ECOSYSTEM


def _findings(
    record: OsvRecord, affected: Iterable[OsvAffected], installed: Mapping[str, str]
) -> Iterator[AdvisoryFinding]:
    """Yield at most one finding for each distribution: that it is affected, else undecided."""
    verdicts: dict[str, bool | None] = {}
    fixed: dict[str, dict[str, None]] = {}
    for one in affected:
        assert one.package
        name = normalized_name(one.package.name)
        if name in installed:
            verdict = _is_affected(installed[name], one)
            if verdicts.get(name, False) is not True and verdict is not False:
                verdicts[name] = verdict
            fixed.setdefault(name, {}).update(dict.fromkeys(_fixed(one)))
    for name, verdict in verdicts.items():
        yield AdvisoryFinding(
            record.id,
            record.aliases,
            record.summary,
            name,
            installed[name],
            tuple(fixed[name]),
            undecided=verdict is None,
        )


def _fixed(affected: OsvAffected) -> Iterator[str]:
    for one in affected.ranges:
        if one.type != "GIT":
            yield from (event.fixed for event in one.events if event.fixed)


def _is_affected(version: str, affected: OsvAffected) -> bool | None:
    """Whether a version is affected; None if versions cannot be compared."""
    if version in affected.versions:
        return True
    try:
        # `2.10.0+cpu` is the release 2.10.0, built in another way.
        installed = Version(Version(version).public)
    except InvalidVersion:
        return None
    listed = [_parsed(one) for one in affected.versions]
    ranges = [one.events for one in affected.ranges if one.type != "GIT"]
    verdicts = [_is_in_range(installed, events) for events in ranges]
    if installed in listed or True in verdicts:
        return True
    return None if None in verdicts else False


def _is_in_range(version: Version, events: Iterable[OsvEvent]) -> bool | None:
    """Evaluate a range; None if one of its versions is not of PEP 440."""
    moments = []
    limits: list[Version | None] = []
    for event in events:
        for kind in ("introduced", "fixed", "last_affected", "limit"):
            text = getattr(event, kind)
            if text is None:
                continue
            if (kind, text) == ("limit", "*"):
                # One limit that a version is below suffices, and every version is below this one.
                limits.append(None)
                continue
            if (kind, text) == ("introduced", "0"):
                moments.append((Version("0.dev0"), kind))
                continue
            at = _parsed(text)
            if at is None:
                return None
            (limits.append(at) if kind == "limit" else moments.append((at, kind)))
    is_in = False
    for at, kind in sorted(moments):
        if kind == "introduced" and version >= at:
            is_in = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            is_in = False
    return is_in and (not limits or any(limit is None or version < limit for limit in limits))


def _parsed(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
