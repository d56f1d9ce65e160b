"""`factory audit-deps`: print which advisories in a file are about what is installed.

How they are compared belongs in `factory_assets.exchange.advisories`.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from factory_assets.cli.shared import select_version
from factory_assets.exchange.advisories import AdvisoryReport, compare_advisories
from factory_assets.exchange.described_version import describe_version
from factory_assets.exchange.osv import read_osv
from factory_assets.execution.installed import installed_distributions
from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import amount, printable


def audit_deps(name: str | None, advisories: Path, *, as_json: bool) -> tuple[str, bool]:
    """Compare the lock of a version, or this environment, with the advisories of a file.

    Returns:
        What to print, and whether an advisory is about something that is installed.

    Raises:
        FactoryError: the file cannot be read, or there is no such version.
    """
    if name is None:
        compared, lock = "this environment", installed_distributions()
    else:
        described = describe_version(*select_version(name), Home.from_env())
        compared, lock = described.name, described.lock
    report = compare_advisories(lock, read_osv(advisories))
    if as_json:
        content = {
            "format": "factory.advisories",
            "version": 1,
            "compared": compared,
            **asdict(report),
            "newest": report.newest and report.newest.isoformat(),
        }
        return json.dumps(content, indent=1) + "\n", bool(report.findings)
    # The texts come from elsewhere.
    text = "".join(f"{printable(line)}\n" for line in _lines(compared, report))
    return text, bool(report.findings)


def _lines(compared: str, report: AdvisoryReport) -> Iterator[str]:
    for one in report.findings:
        what = "may be affected, its versions cannot be compared" if one.undecided else "affected"
        fixed = f", fixed in {', '.join(one.fixed)}" if one.fixed else ""
        names = ", ".join((one.id, *one.aliases))
        yield f"{one.name} {one.version}: {what} by {names}{fixed}: {one.summary}".rstrip(": ")
    newest = f"the newest of {report.newest:%Y-%m-%d}" if report.newest else "none is about PyPI"
    yield (
        f"{compared}: {amount(report.distributions, 'distributions')}, "
        f"{amount(report.advisories, 'advisories')} ({newest}), "
        f"{len(report.findings) or 'none'} found"
    )
