"""Turn what Pydantic finds wrong with a declaration into messages for its author.

Files and lines belong in `loader`, the places of errors in `locations`.
"""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from factory_assets.declarations.locations import ErrorLocation, fields, locate, sections_with
from factory_assets.declarations.yaml_document import At
from factory_assets.spec import PipelineSpec, Spec
from factory_assets.spec.base import ColumnName, MemoryAmount, Name, Reference, nearest, suggest
from factory_assets.spec.contract import Duration
from factory_assets.spec.deploy import Retention
from factory_assets.spec.settings import DiskAmount
from factory_assets.spec.sources import AssetPath, DatabaseName, SecretName
from factory_assets.spec.train import Encoder

_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "none_required": "null",
}
"""Pydantic's errors about a type, and the type in words."""


@dataclass(frozen=True)
class Mistake:
    """One mistake at one place; `at_key` if the key or whole section is wrong, not the value."""

    at: At
    message: str
    at_key: bool = False


def mistakes(error: ValidationError, data: Any, root: type[Spec] = PipelineSpec) -> list[Mistake]:
    """Return every mistake once; Pydantic reports one for each type that a value may have.

    Args:
        root: the model of the document, as for `locate`.
    """
    places = [locate(details, data, root) for details in error.errors(include_url=False)]
    misspelt = {(p.at[:-1], _intended(p)) for p in places if p.kind == "extra_forbidden"}
    groups: dict[tuple[At, Any], list[ErrorLocation]] = {}
    for place in places:
        has_inner = any(_is_below(other.at, place.at) for other in places)
        is_misspelt = place.missing is not None and (place.at, place.missing) in misspelt
        # Pydantic counts only the valid items of a list.
        follows = has_inner and (place.kind in _TYPES or place.kind == "too_short")
        if not is_misspelt and not follows:
            groups.setdefault((place.at, place.missing), []).append(place)
    return [mistake for group in groups.values() for mistake in _explain(group)]


def _is_below(inner: At, outer: At) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _intended(place: ErrorLocation) -> str | None:
    """Return the valid key that an unknown key is most likely a slip of."""
    return nearest(place.at[-1], fields(place.enclosing))


def _explain(group: list[ErrorLocation]) -> list[Mistake]:
    place = group[0]
    match place.kind:
        case "value_error":
            lines = str(place.context["error"]).splitlines()
            return [of_section(place.at, place.value, line) for line in lines]
        case "missing":
            return [Mistake(place.at, _missing(place), at_key=True)]
        case "extra_forbidden":
            return [Mistake(place.at, _unknown(place), at_key=True)]
        case "union_tag_invalid" | "union_tag_not_found" | "model_attributes_type":
            return [_wrong_kind(place)]
    if place.is_key:
        message = f"{shown(place.at[-1])} is not valid as a name; {_must(place)}"
        return [Mistake(place.at, message, at_key=True)]
    return [Mistake(place.at, _wrong_value(group))]


def of_section(at: At, data: Any, message: str) -> Mistake:
    """Return a broken rule as a mistake at the key that the message begins with, if there is one.

    Args:
        at: the place of the section to which the rule applies.
        data: what is declared there.
        message: such as `train.target: no column 'y'`.
    """
    section, colon, rest = message.partition(": ")
    path = tuple(section.split("."))
    if colon and (value := _value_at(data, path)) is not None:
        word = re.search(r"'([^']*)'", rest)
        if word and isinstance(value, list | tuple) and word[1] in value:
            return Mistake((*at, *path, value.index(word[1])), rest)
        return Mistake((*at, *path), rest, at_key=not isinstance(value, str))
    first = message.partition(" ")[0]
    inside = isinstance(data, dict) and first in data
    return Mistake((*at, first) if inside else at, message, at_key=True)


def _value_at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _missing(place: ErrorLocation) -> str:
    """Describe a missing key by the first sentence of its description."""
    if isinstance(place.missing, int):
        return f"{shown(place.value)} is too short; add a value"
    description = " ".join(fields(place.models).get(str(place.missing), "").split())
    return f"{place.missing!r} is missing" + (
        f": {description.partition('. ')[0].rstrip('.')}" * bool(description)
    )


def _unknown(place: ErrorLocation) -> str:
    key = str(place.at[-1])
    sections = "" if _intended(place) else " or ".join(sections_with(key))
    belongs = f"; it belongs in {sections}" if sections else ""
    return f"unknown key {key!r}{belongs}; {suggest(key, fields(place.enclosing))}"


def _wrong_kind(place: ErrorLocation) -> Mistake:
    """Describe a model without a valid `kind`, or a source without a valid key."""
    if "files" in place.models:
        return Mistake(place.at, f"{shown(place.value)} is not valid; write {{files: data.csv}}")
    kinds = [str(tag) for tag in place.models if tag != "python"]
    if not isinstance(place.value, dict):
        near = nearest(place.value, kinds) or kinds[0]
        return Mistake(place.at, f"{shown(place.value)} is not valid; write {{kind: {near}}}")
    own = ", or `python: pkg.module:name` without a kind" * ("python" in place.models)
    if "kind" not in place.value:
        message = f"'kind' is missing; valid: {', '.join(kinds)}{own}"
        return Mistake(place.at, message, at_key=True)
    kind = place.value["kind"]
    return Mistake((*place.at, "kind"), f"{shown(kind)} is not valid; {suggest(kind, kinds)}{own}")


def _wrong_value(group: list[ErrorLocation]) -> str:
    value = group[0].value
    other = next((place for place in group if place.kind not in _TYPES), None)
    if other:
        return f"{shown(value)} is not valid; {_must(other)}"
    expected = list(dict.fromkeys(_TYPES[place.kind] for place in group))
    if "a number" in expected and "a whole number" in expected:
        expected.remove("a whole number")
    return f"{shown(value)} is not valid; must be {' or '.join(expected)}{_hint(value, expected)}"


def _hint(value: Any, expected: list[str]) -> str:
    if "text" in expected and isinstance(value, int | float):
        return "; put it in quotes"
    if expected == ["a list"] and not isinstance(value, dict | None):
        return f", such as [{shown(value)}]"
    return ""


def _must(place: ErrorLocation) -> str:
    """Say what the value must be."""
    if place.kind == "literal_error":
        expected = str(place.context["expected"])
        words = re.findall(r"'([^']*)'", expected)
        return suggest(place.value, words) if words else f"must be {expected.lower()}"
    if place.kind == "string_pattern_mismatch":
        pattern = place.context["pattern"]
        return f"must be {_PATTERNS.get(pattern, f'text like {pattern}')}"
    if place.kind == "finite_number":
        return "must be a finite number"
    return re.sub(r"^\w+ should", "must", place.text).replace(" after validation", "")


def _pattern(annotation: Any) -> str:
    metadata = annotation.__metadata__[0].metadata
    return str(next(part.pattern for part in metadata if hasattr(part, "pattern")))


_PATTERNS = {
    _pattern(Name): "lower case letters, digits and underscores, beginning with a letter",
    _pattern(
        ColumnName
    ): "a name without a leading underscore; such names are reserved for the factory",
    _pattern(Reference): "a Python object written pkg.module:name",
    _pattern(Duration): "a whole number and min, h, d or w, such as 2d",
    _pattern(Retention): "a whole number of at most four digits and d, w, m or y, such as 30d",
    _pattern(MemoryAmount): "a whole number and MB, GB or TB, such as 8 GB",
    _pattern(DiskAmount): "a whole number and MB, GB or TB, such as 2GB, or 0",
    _pattern(Encoder): "an installed package, or a folder that begins with / or ${FACTORY_…}/",
    _pattern(AssetPath): "the key of an asset, its parts joined by slashes, such as raw/orders",
    _pattern(SecretName): "the name of a secret: letters, digits and underscores",
    _pattern(DatabaseName): "the name of a secret that contains a URL, or sqlite:path",
}
"""The patterns of named strings in words."""


def shown(value: object) -> str:
    """Return the value as its author wrote it, shortened if it is long."""
    if value is None:
        return "an empty value"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    text = repr(value) if isinstance(value, str | list) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def dotted(at: At) -> str:
    """Return a place as text, such as `attributes.evaluate.gates.0.metric`."""
    return ".".join(on_one_line(str(part)) for part in at)


def on_one_line(text: str) -> str:
    """Return the text of a message, in which a key or a value may contain a line break."""
    return text if text.isprintable() else repr(text)[1:-1]
