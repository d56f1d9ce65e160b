"""Read the YAML files that a declaration names, such as its contract.

What their content means belongs where they are declared: in `contract_file` and `carbon_file`.
"""

from pathlib import Path

from factory_assets.declarations.yaml_document import (
    Document,
    NotYaml,
    Wrong,
    YamlLocation,
    content_of,
    parse,
)


def file_named(folder: Path, name: str) -> Path:
    """Return the file that a declaration names; as it is written if no file can have the name."""
    try:
        return (folder / name).resolve()
    except ValueError:
        return folder / name


def parse_named(file: Path, name: str, here: YamlLocation) -> Document | Wrong:
    """Parse a file that a declaration names, or return why it cannot be.

    Args:
        file: as `file_named` returns it.
        name: the path as declared.
        here: where it is declared.
    """
    try:
        return parse(content_of(file))
    except OSError as error:
        return here, f"{name} cannot be read ({error.strerror or error})"
    except ValueError as error:
        return here, f"{name} cannot be read ({error})"
    except NotYaml as error:
        return YamlLocation(file, error.line, ()), error.message
