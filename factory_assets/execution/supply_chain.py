"""Store what comes with a model version, enter it, and check a version before it serves.

What is in a bill of materials belongs in `exchange`, the statement in `audit.statement`.
"""

import json
from base64 import b64decode
from dataclasses import astuple, dataclass
from hashlib import sha256
from pathlib import Path

from factory_assets.execution.provenance import FOLDER as PROVENANCE
from factory_assets.execution.provenance import provenance_digest
from factory_assets.ml.artifacts.onnx_model import FILE
from factory_assets.ml.artifacts.onnx_model import FOLDER as EXPORT
from factory_assets.ml.artifacts.trained_model import MANIFEST
from factory_resources.errors import ModelError
from factory_resources.file_digest import file_sha256
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.ledger.entries import ModelExported, ModelTrained
from factory_resources.ledger.ledger import Ledger, latest_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.supply_entries import SupplyChainRecorded
from factory_resources.tracking.registry import Registry, Version

_DOCUMENTS = ("SBOM", "ML-BOM", "statement")


@dataclass(frozen=True)
class SupplyDocuments:
    """What comes with a version, each as the bytes of a JSON file."""

    sbom: bytes
    ml_bom: bytes
    statement: bytes
    """The envelope of the in-toto statement about the version's files."""


def supply_files(entry: SupplyChainRecorded, home: Home) -> dict[Path, str]:
    """Return the files that an entry names, each with its SHA-256."""
    digests = (entry.sbom, entry.ml_bom, entry.statement)
    return {home.path / "supply" / entry.pipeline / f"{one}.json": one for one in digests}


def record_supply_chain(
    pipeline: str, version: int, documents: SupplyDocuments, home: Home
) -> tuple[int, bool]:
    """Store the documents of a version and enter their digests.

    Returns:
        The number of the entry, and whether it is new: the same documents are entered once.

    Raises:
        StorageError: the ledger or the home cannot be written; nothing counts then.
    """
    sbom, ml_bom, statement = (sha256(one).hexdigest() for one in astuple(documents))
    subject = SupplyChainRecorded.subject_of(pipeline=pipeline, version=version)
    entry = SupplyChainRecorded(
        subject=subject,
        pipeline=pipeline,
        version=version,
        sbom=sbom,
        ml_bom=ml_bom,
        statement=statement,
    )

    def decide(log: Log) -> list[SupplyChainRecorded]:
        known = latest_in(log, SupplyChainRecorded, subject)
        same = known and known[1].model_copy(update={"time": entry.time}) == entry
        return [] if same else [entry]

    with storage_faults(home), home.working(), home.acting():
        for path, content in zip(supply_files(entry, home), astuple(documents), strict=True):
            home.write_durable(path, content)
        numbers = Ledger(home).append_decided(decide)
    found = Ledger(home).latest(SupplyChainRecorded, subject)
    assert found
    return found[0], bool(numbers)


def require_unchanged(version: Version, home: Home) -> None:
    """Check a version before it serves.

    If its supply chain was recorded, the bills of materials and the statement must be those that
    were entered, and the files those that the statement is about.

    Raises:
        ModelError: a file is missing or was changed.
    """
    if not Ledger(home).exists:
        return
    require_own_files(version, home)
    names: dict[str, str | int] = {"pipeline": version.model, "version": version.version}
    recorded = Ledger(home).latest(SupplyChainRecorded, SupplyChainRecorded.subject_of(**names))
    if recorded:
        _require_recorded(version, recorded[1], home)


def require_own_files(version: Version, home: Home) -> None:
    """Check the files of a version, its export and its provenance against the ledger.

    Raises:
        ModelError: a file is missing or was changed.
    """
    names: dict[str, str | int] = {"pipeline": version.model, "version": version.version}
    with Ledger(home).reading() as log:
        trained = latest_in(log, ModelTrained, ModelTrained.subject_of(**names))
        exported = latest_in(log, ModelExported, ModelExported.subject_of(**names))
    if trained is None:
        raise _refused(version, "has no entry in the ledger")
    run = Registry(home).run_files(version.model, version.run_id)
    _require_listed(version, version.files, trained[1].digest)
    if provenance := provenance_digest(version, home):
        _require_listed(version, run / PROVENANCE, provenance)
    if exported:
        _require(version, run / EXPORT / FILE, exported[1].graph)


def _require_listed(version: Version, folder: Path, digest: str) -> None:
    """Require a manifest with this digest, and the files as it lists them."""
    manifest = folder / MANIFEST
    _require(version, manifest, digest)
    for name, expected in json.loads(manifest.read_bytes()).items():
        _require(version, folder / name, expected)


def _require_recorded(version: Version, entry: SupplyChainRecorded, home: Home) -> None:
    files = supply_files(entry, home)
    for what, (path, digest) in zip(_DOCUMENTS, files.items(), strict=True):
        _require(version, path, digest, f"its {what}")
    [*_, statement] = files
    stated = json.loads(b64decode(json.loads(statement.read_bytes())["payload"]))
    for one in stated["subject"]:
        _require(version, home.path / one["name"], one["digest"]["sha256"])


def _require(version: Version, path: Path, digest: str, what: str = "") -> None:
    name = what or path.name
    try:
        found = file_sha256(path)
    except FileNotFoundError as error:
        raise _refused(version, f"{name} is missing") from error
    except OSError as error:
        raise _refused(version, f"{name} cannot be read ({error.strerror})") from error
    if found != digest:
        raise _refused(version, f"{name} was changed (its SHA-256 differs)")


def _refused(version: Version, what: str) -> ModelError:
    return ModelError(
        what,
        where=f"{version.model}@{version.version}",
        remedy="it does not serve; factory verify shows what else does not hold",
    )
