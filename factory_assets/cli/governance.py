"""`factory governance`: write the `governance.yaml` of a pipeline, and sign what it states."""

from pathlib import Path

from factory_assets.cli.shared import select
from factory_assets.declarations.governance import FILE
from factory_resources.errors import DeclarationError
from factory_resources.home.home import storage_errors


def new_governance(name: str) -> Path:
    """Write the file, and return it.

    Raises:
        DeclarationError: there is no such pipeline, or it has the file already.
        StorageError: it cannot be written.
    """
    from factory_assets.audit.requirements.catalogue import catalogue
    from factory_assets.audit.requirements.template import governance_template
    from factory_assets.cli.schema import GOVERNANCE, schema_line

    [pipeline] = select([name])
    file = pipeline.folder / FILE
    text = schema_line(pipeline.folder, GOVERNANCE) + governance_template(pipeline, catalogue())
    with storage_errors(file):
        try:
            opened = file.open("x", encoding="utf-8")
        except FileExistsError as error:
            raise DeclarationError(
                "this file exists already",
                where=str(file),
                remedy="edit it; it is never overwritten",
            ) from error
        with opened:
            opened.write(text)
    return file
