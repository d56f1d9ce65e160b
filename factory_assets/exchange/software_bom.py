"""The SBOM of a version: the software with which it was trained."""

from collections.abc import Iterator

from factory_assets.exchange.cyclonedx import (
    PREFIX,
    Bom,
    BomPart,
    distribution_reference,
    file_component,
    properties,
    sha256_of,
)
from factory_assets.exchange.described_version import DescribedVersion
from factory_assets.exchange.installed_facts import installed_facts


def software_bom(described: DescribedVersion) -> Bom:
    """List the lock of a training, Python, and the factory's files that training used."""
    components = [*_components(described)]
    reference = f"training/{described.name}"
    listed = "all" if described.environment.distributions is not None else "those that train"
    about = {
        "type": "application",
        "bom-ref": reference,
        "name": described.version.model,
        "version": str(described.version.version),
        "description": f"The software with which {described.name} was trained",
        "properties": properties(
            {"distributions": listed, "user_code": described.environment.user_code}
        ),
    }
    return Bom(
        timestamp=described.trained.finished,
        about=about,
        components=components,
        dependencies={reference: [one["bom-ref"] for one in components]},
    )


def distribution_component(name: str, version: str) -> BomPart:
    """Return the component of a distribution."""
    reference, facts = distribution_reference(name, version), installed_facts(name, version)
    return {
        "type": "library",
        "bom-ref": reference,
        "name": name,
        "version": version,
        "purl": reference,
        **({"licenses": [*facts.licences]} if facts.licences else {}),
        **({"hashes": sha256_of(facts.sha256)} if facts.sha256 else {}),
    }


def _components(described: DescribedVersion) -> Iterator[BomPart]:
    environment = described.environment
    python = f"pkg:generic/python@{environment.python}"
    yield {
        "type": "platform",
        "bom-ref": python,
        "name": "python",
        "version": environment.python,
        "purl": python,
        "properties": properties({"system": environment.system}),
    }
    files = [file_component(*one) for one in sorted(environment.code.items())]
    yield {
        "type": "application",
        "bom-ref": f"{PREFIX}/code",
        "name": f"{PREFIX} (files that train)",
        "components": files,
    }
    for name, version in described.lock.items():
        yield distribution_component(name, version)
