"""A contract that stands in a file of its own, in place of the path that a `defs.yaml` names."""

from pathlib import Path
from typing import Any

from factory_assets.declarations.yaml_document import (
    At,
    Document,
    Elsewhere,
    NotYaml,
    YamlLocation,
    parse,
)
from factory_assets.odcs import reader
from factory_assets.odcs.parsing import Reading

AT: At = ("attributes", "ingest", "contract")

Wrong = tuple[YamlLocation, str]


def with_contract(
    attributes: dict[str, Any], document: Document, folder: Path
) -> tuple[dict[str, Any], list[Wrong]]:
    """The attributes with the contract's file read, and what is wrong with that file.

    Args:
        attributes: as declared; they stay as they are.
        document: the declaration, which learns where the contract's lines are.
        folder: of the declaration.
    """
    named = _named(attributes)
    if named is None:
        return attributes, []
    name, table = named
    file = (folder / name).resolve()
    here = document.place(AT, at_key=False)
    try:
        inner = parse(file.read_bytes())
    except OSError as error:
        return attributes, [(here, f"{name} cannot be read ({error.strerror or error})")]
    except NotYaml as error:
        return attributes, [(YamlLocation(file, error.line, ()), error.message)]
    reading = reader.read(inner.data, table)
    other = Elsewhere(file, inner, reading.place)
    document.elsewhere[AT] = other
    wrong = [(_in(other, at), message) for at, message in reading.wrong]
    wrong += [
        (YamlLocation(file, again, at), f"key {at[-1]!r} repeats line {first}; keep one")
        for at, first, again in inner.repeated
    ]
    ingest = {**attributes["ingest"], "contract": {} if wrong else reading.contract}
    return {**attributes, "ingest": ingest}, wrong


def unchecked(attributes: dict[str, Any], folder: Path) -> list[tuple[Path, int, str]]:
    """What the contract's file promises and nothing checks: file, line, and what."""
    named = _named(attributes)
    if named is None:
        return []
    file = (folder / named[0]).resolve()
    document = parse(file.read_bytes())
    reading: Reading = reader.read(document.data, named[1])
    return [(file, document.key_line(at), what) for at, what in reading.unchecked]


def _named(attributes: Any) -> tuple[str, str | None] | None:
    """The path of the file and the table in it, where a contract is one."""
    ingest = attributes.get("ingest") if isinstance(attributes, dict) else None
    contract = ingest.get("contract") if isinstance(ingest, dict) else None
    if isinstance(contract, str):
        return contract, None
    if not isinstance(contract, dict) or set(contract) - {"file", "table"}:
        return None
    name, table = contract.get("file"), contract.get("table")
    right = isinstance(name, str) and (table is None or isinstance(table, str))
    return (name, table) if right and isinstance(name, str) else None


def _in(other: Elsewhere, at: At) -> YamlLocation:
    """The line of a place in the file, whose value where it is written beside its key."""
    return YamlLocation(other.file, other.document.key_line(at), at)
