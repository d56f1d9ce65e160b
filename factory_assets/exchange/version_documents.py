"""Make all that comes with a version: SBOM, ML-BOM, and the signed statement about its files."""

from factory_assets.audit.evidence import collect, signed_statement
from factory_assets.exchange.described_version import describe_version
from factory_assets.exchange.model_bom import model_bom
from factory_assets.exchange.software_bom import software_bom
from factory_assets.execution.supply_chain import SupplyDocuments, require_own_files
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home


def make_documents(pipeline: Pipeline, version: int, home: Home) -> SupplyDocuments:
    """Make the documents of a version; the same bytes twice, while nothing of it changes.

    Raises:
        FactoryError: there is no such version, or a file of it was changed.
    """
    described = describe_version(pipeline, version, home)
    # A signature about changed files would say that they are the version's.
    require_own_files(described.version, home)
    software = software_bom(described)
    return SupplyDocuments(
        sbom=software.json,
        ml_bom=model_bom(described, software).json,
        statement=signed_statement(collect(described.name, home, with_rows=False), home),
    )
