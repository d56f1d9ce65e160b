"""What an installed distribution says of itself: its licence, and the hash of what was installed.

Only of the very version that is asked for; of another one nothing is known.
"""

import importlib.metadata
import json
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import cast

from factory_assets.exchange.cyclonedx import BomPart

_LONGEST = 100
"""Characters; a longer field is the text of a licence, not its name."""


@dataclass(frozen=True)
class InstalledFacts:
    """What is known of one distribution."""

    licences: tuple[BomPart, ...] = ()
    """Entries of `licenses`: one expression, or names."""
    sha256: str | None = None
    """Of the archive that was installed; known if it was installed from a file or an address."""


def installed_facts(name: str, version: str) -> InstalledFacts:
    """Return what the installed distribution says; nothing if another version is installed."""
    try:
        found = importlib.metadata.distribution(name)
        if found.version != version:
            return InstalledFacts()
        # Both typeshed and the documentation promise less than the message that it is.
        metadata = cast(Message, found.metadata)
        return InstalledFacts((*_licences(metadata),), _archive_hash(found))
    except importlib.metadata.PackageNotFoundError:
        return InstalledFacts()


def _licences(metadata: Message) -> Iterator[BomPart]:
    """Yield the expression of PEP 639, else the field or the classifiers of before."""
    if expression := metadata.get("License-Expression"):
        yield {"expression": expression}
        return
    name = (metadata.get("License") or "").strip()
    if name and name != "UNKNOWN" and len(name) <= _LONGEST and "\n" not in name:
        yield {"license": {"name": name}}
        return
    for classifier in dict.fromkeys(metadata.get_all("Classifier") or ()):
        kind, _, rest = classifier.partition(" :: ")
        if kind == "License" and rest:
            yield {"license": {"name": rest.rpartition(" :: ")[2]}}


def _archive_hash(found: importlib.metadata.Distribution) -> str | None:
    """Return the SHA-256 in `direct_url.json` (PEP 610)."""
    try:
        digest = json.loads(found.read_text("direct_url.json") or "{}")["archive_info"]["hashes"]
        return str(digest["sha256"])
    except (ValueError, KeyError, TypeError):
        return None
