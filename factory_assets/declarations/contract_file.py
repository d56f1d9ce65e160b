"""Load a contract from its own file, in place of the path that a `defs.yaml` gives.

What the file may contain belongs in `odcs`.
"""

from pathlib import Path
from typing import Any

from factory_assets.declarations.named_files import file_named, parse_named
from factory_assets.declarations.yaml_document import (
    At,
    Document,
    Elsewhere,
    Wrong,
    YamlLocation,
    content_of,
    parse,
    repeated_keys,
)
from factory_assets.odcs import reader
from factory_assets.odcs.parsing import Reading

AT: At = ("attributes", "ingest", "contract")
"""Where a declaration names the file."""


def with_contract(
    attributes: dict[str, Any], document: Document, folder: Path
) -> tuple[dict[str, Any], list[Wrong]]:
    """Return the attributes with the content of the contract's file, and the mistakes in that file.

    Args:
        attributes: the declared attributes; they are not changed.
        document: the declaration; it also learns the lines of the contract's file.
        folder: the folder of the declaration.
    """
    reference = _file_and_table(attributes)
    if reference is None:
        return attributes, []
    name, table = reference
    file = file_named(folder, name)
    here = document.place(AT, at_key=False)
    inner = parse_named(file, name, here)
    if not isinstance(inner, Document):
        return attributes, [inner]
    reading = reader.read(inner.data, table)
    other = Elsewhere(file, inner, reading.place)
    document.elsewhere[AT] = other
    wrong = [(_in_file(other, at), message) for at, message in reading.wrong]
    wrong += repeated_keys(file, inner)
    ingest = {**attributes["ingest"], "contract": {} if wrong else reading.contract}
    return {**attributes, "ingest": ingest}, wrong


def unchecked(attributes: dict[str, Any], folder: Path) -> list[tuple[Path, int, str]]:
    """Return what the contract's file promises and nothing checks: file, line and promise."""
    reference = _file_and_table(attributes)
    if reference is None:
        return []
    file = (folder / reference[0]).resolve()
    document = parse(content_of(file))
    reading: Reading = reader.read(document.data, reference[1])
    return [(file, document.key_line(at), promise) for at, promise in reading.unchecked]


def _file_and_table(attributes: Any) -> tuple[str, str | None] | None:
    """Return the path of the contract's file and the table in it; None if it has no file."""
    ingest = attributes.get("ingest") if isinstance(attributes, dict) else None
    contract = ingest.get("contract") if isinstance(ingest, dict) else None
    if isinstance(contract, str):
        return contract, None
    if not isinstance(contract, dict) or set(contract) - {"file", "table"}:
        return None
    name, table = contract.get("file"), contract.get("table")
    valid = isinstance(name, str) and (table is None or isinstance(table, str))
    return (name, table) if valid and isinstance(name, str) else None


def _in_file(other: Elsewhere, at: At) -> YamlLocation:
    """Return the location of a place in the file, at the line of its key."""
    return YamlLocation(other.file, other.document.key_line(at), at)
